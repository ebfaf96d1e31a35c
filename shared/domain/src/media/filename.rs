//! Names of files for people.

/// The longest name, bytes: what file systems take.
const LONGEST: usize = 255;

/// A file's name as it is shown to people and never used as a path: its last part, without control characters, direction
/// overrides and characters that file systems or shells give a meaning; at most 255 bytes, the extension kept. `None` if
/// nothing is left.
#[must_use]
pub fn sanitised_filename(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !is_dropped(*c)).collect();
    let kept = kept.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if kept.is_empty() { None } else { Some(shortened(kept)) }
}

fn is_dropped(c: char) -> bool {
    let is_invisible = matches!(u32::from(c),
        0xAD | 0x61C | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB);
    is_invisible || c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '$' | '`' | ';' | '&')
}

fn shortened(name: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 16 => (stem, Some(extension)),
        _ => (name, None),
    };
    let room = LONGEST - extension.map_or(0, |extension| extension.len() + 1);
    let end = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or_default();
    let stem = stem.get(..end).unwrap_or_default();
    extension.map_or_else(|| stem.to_owned(), |extension| format!("{stem}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(name: &str, expected: &str) {
        assert_eq!(sanitised_filename(name).as_deref(), Some(expected), "{name:?}");
    }

    #[test]
    fn row_59_a_name_is_no_path() {
        is("../../etc/passwd", "passwd");
        is("..\\..\\boot.ini", "boot.ini");
        is("/etc/shadow", "shadow");
        is("C:\\x\\invoice.pdf", "invoice.pdf");
        is("a\0b\r\n.txt", "ab.txt");
        is("\u{202e}gpj.exe", "gpj.exe");
        is("$(rm -rf `x`);.sh", "(rm -rf x).sh");
        is(" Rechnung März 🎉.pdf ", "Rechnung März 🎉.pdf");
        for name in ["", "..", "/", "\u{200b}", "...", "a/", "\n"] {
            assert_eq!(sanitised_filename(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        is(&format!("{}.pdf", "x".repeat(400)), &format!("{}.pdf", "x".repeat(251)));
        is(&"ü".repeat(400), &"ü".repeat(127));
    }
}
