//! What a file is, by its first bytes. Nothing is decoded: a header is read, within bounds.

use super::{MediaFailure, MediaKind};

/// So many first bytes of a file are enough to judge it (or the whole file, if it is shorter).
pub const HEAD_BYTES: usize = 256 * 1024;

/// A file of no type that is known.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Sound as WhatsApp's voice notes are.
pub const VOICE_TYPE: &str = "audio/ogg; codecs=opus";

/// What the first bytes of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Its type, as its bytes say; `application/octet-stream` if they say nothing.
    pub mime_type: String,
    /// Pixels across and down, of a picture.
    pub pixels: Option<(u32, u32)>,
}

/// Judges a file by its first bytes (at least [`HEAD_BYTES`] of them, or all): whether they are what was `declared`, and
/// fit to be sent as `kind`.
///
/// # Errors
/// `TypeMismatch` if they are something else than was declared, if they do not fit the kind, or if they begin like a picture
/// whose size cannot be read; `TooManyPixels` for a picture of more, all frames together.
pub fn inspect(
    head: &[u8],
    declared: Option<&str>,
    kind: Option<MediaKind>,
    max_pixels: u64,
) -> Result<Inspected, MediaFailure> {
    let found = recognised(head);
    let declared = declared.map(essence).filter(|declared| !declared.is_empty() && declared != UNKNOWN_TYPE);
    if declared.as_deref().is_some_and(|declared| !is_plausible(declared, found.as_deref(), head)) {
        return Err(MediaFailure::TypeMismatch);
    }
    // Types that have no signature (text and its kin) are as they were declared.
    let mime_type = found.or(declared).unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
    if kind.is_some_and(|kind| !kind.takes(&mime_type)) {
        return Err(MediaFailure::TypeMismatch);
    }
    let pixels = if is_measured(&mime_type) { Some(pixels(head, max_pixels)?) } else { None };
    Ok(Inspected { mime_type, pixels })
}

impl MediaKind {
    /// Whether WhatsApp's clients show a file of this type as this kind.
    #[must_use]
    pub fn takes(self, mime_type: &str) -> bool {
        let mime_type = essence(mime_type);
        match self {
            Self::Image => matches!(mime_type.as_str(), "image/jpeg" | "image/png"),
            Self::Video => matches!(mime_type.as_str(), "video/mp4" | "video/3gpp"),
            Self::Audio => {
                matches!(mime_type.as_str(), "audio/ogg" | "audio/mpeg" | "audio/mp4" | "audio/aac" | "audio/amr")
            }
            Self::Document => true,
            Self::Sticker => mime_type == "image/webp",
        }
    }
}

/// A type without its parameters, in lower case.
fn essence(mime_type: &str) -> String {
    mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The type that the bytes have a signature of, by the name that WhatsApp uses.
fn recognised(head: &[u8]) -> Option<String> {
    let name = match infer::get(head).map(|found| found.mime_type()) {
        Some("audio/opus") => VOICE_TYPE,
        Some("audio/m4a") => "audio/mp4",
        Some("video/x-m4v") => "video/mp4",
        Some("video/mp4") if head.get(8..11) == Some(b"3gp") => "video/3gpp",
        Some(name) => name,
        None if head.get(4..11) == Some(b"ftyp3gp") => "video/3gpp",
        None if is_mpeg_audio(head) => "audio/mpeg",
        None => return None,
    };
    Some(name.to_owned())
}

/// A frame of MPEG audio, layer III, without a tag before it: eleven set bits, a version, the layer.
fn is_mpeg_audio(head: &[u8]) -> bool {
    let [0xff, second, third, ..] = head else { return false };
    let version = (second >> 3) & 0b11;
    second & 0xe6 == 0xe2 && version != 0b01 && third >> 4 != 0b1111 && (third >> 2) & 0b11 != 0b11
}

/// Whether a file that is said to be of one type can be of the type that was found.
fn is_plausible(declared: &str, found: Option<&str>, head: &[u8]) -> bool {
    let major = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let Some(found) = found else {
        // All that is sent as these has a signature.
        let has_signature = matches!(major(declared).as_str(), "image" | "video" | "audio") && declared != "image/svg+xml";
        let is_binary = major(declared) == "text" && head.contains(&0);
        return !has_signature && declared != "application/pdf" && !is_binary;
    };
    let found = essence(found);
    match (major(declared).as_str(), major(&found).as_str()) {
        ("image", "image") | ("video", "video") | ("audio", "audio") | ("text", "text") => true,
        // The same containers hold films and sound.
        ("video", "audio") | ("audio", "video") => {
            matches!(
                found.as_str(),
                "audio/mp4" | "video/mp4" | "audio/ogg" | "video/webm" | "video/3gpp" | "video/quicktime"
            )
        }
        ("application", "video" | "audio") => declared == "application/ogg" || declared == "application/mp4",
        ("application", "text") => found == "text/xml" || found == "text/x-shellscript" && declared.contains("sh"),
        ("image", "text") => declared == "image/svg+xml" && found == "text/xml",
        ("application", "application") => is_same_application(declared, &found),
        // What has two names.
        ("font", "application") => found.starts_with("application/font"),
        ("text", "application") => declared == "text/rtf" && found == "application/rtf",
        _ => false,
    }
}

/// Programs and PDFs are nothing else; what is left are archives and office files, many of which are archives themselves.
fn is_same_application(declared: &str, found: &str) -> bool {
    let is_telling = |name: &str| {
        matches!(
            name,
            "application/pdf"
                | "application/x-executable"
                | "application/vnd.microsoft.portable-executable"
                | "application/x-mach-binary"
                | "application/vnd.android.dex"
                | "application/java"
                | "application/wasm"
        )
    };
    let is_program = |name: &str| {
        matches!(
            name,
            "application/x-msdownload" | "application/x-dosexec" | "application/x-sharedlib" | "application/x-elf"
        )
    };
    // Illustrator's files are PDFs, under the name of what they were before.
    let is_drawing = found == "application/pdf" && matches!(declared, "application/postscript" | "application/illustrator");
    let is_open = !is_telling(declared) && (!is_telling(found) || is_program(declared));
    declared == found || is_drawing || is_open
}

/// The pictures whose size is read. A PSD or a camera's raw file is a document to everybody.
fn is_measured(mime_type: &str) -> bool {
    matches!(
        mime_type,
        "image/jpeg"
            | "image/png"
            | "image/gif"
            | "image/webp"
            | "image/bmp"
            | "image/tiff"
            | "image/heif"
            | "image/avif"
            | "image/jxl"
    )
}

fn pixels(head: &[u8], max_pixels: u64) -> Result<(u32, u32), MediaFailure> {
    let size = imagesize::blob_size(head).map_err(|_| MediaFailure::TypeMismatch)?;
    let frames = animated_png_frames(head).max(1);
    let all = (size.width as u64).saturating_mul(size.height as u64).saturating_mul(frames);
    if all > max_pixels {
        return Err(MediaFailure::TooManyPixels);
    }
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| MediaFailure::TooManyPixels);
    Ok((side(size.width)?, side(size.height)?))
}

/// The frames that an animated PNG announces, 0 for any other file.
fn animated_png_frames(head: &[u8]) -> u64 {
    if !head.starts_with(b"\x89PNG\r\n\x1a\n") {
        return 0;
    }
    // Chunks: length, name, data, checksum. The announcement comes before the first data.
    let mut rest = head.get(8..).unwrap_or_default();
    while let Some((length, name, data)) = chunk(rest) {
        match name {
            b"acTL" => return data.first_chunk().map_or(0, |frames| u32::from_be_bytes(*frames).into()),
            b"IDAT" => return 0,
            _ => rest = data.get(length.saturating_add(4)..).unwrap_or_default(),
        }
    }
    0
}

fn chunk(bytes: &[u8]) -> Option<(usize, &[u8; 4], &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (name, bytes) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*length) as usize, name, bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const PIXELS: u64 = 50_000_000;

    fn png(width: u32, height: u32, extra: &[u8]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        file.extend(width.to_be_bytes());
        file.extend(height.to_be_bytes());
        file.extend([8, 6, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(extra);
        file.extend(b"\0\0\0\0IDAT\0\0\0\0");
        file
    }

    fn of(head: &[u8], declared: &str, kind: MediaKind) -> Result<Inspected, MediaFailure> {
        let declared = Some(declared).filter(|declared| !declared.is_empty());
        inspect(head, declared, Some(kind), PIXELS)
    }

    #[test]
    fn a_picture_is_measured_and_not_decoded() {
        let seen = of(&png(640, 480, b""), "image/png", MediaKind::Image).unwrap();
        assert_eq!((seen.mime_type.as_str(), seen.pixels), ("image/png", Some((640, 480))));
        // Row 57: a bomb, as a picture or not.
        for kind in [MediaKind::Image, MediaKind::Document] {
            assert_eq!(of(&png(100_000, 100_000, b""), "", kind), Err(MediaFailure::TooManyPixels));
        }
        let mut frames = b"\0\0\0\x08acTL".to_vec();
        frames.extend(1_000_000_u32.to_be_bytes());
        frames.extend([0; 8]);
        assert_eq!(of(&png(100, 100, &frames), "", MediaKind::Image), Err(MediaFailure::TooManyPixels));
        assert_eq!(of(b"\x89PNG\r\n\x1a\n", "", MediaKind::Image), Err(MediaFailure::TypeMismatch));
    }

    #[test]
    fn row_56_what_was_declared_is_what_is_there() {
        let html = b"<!DOCTYPE html><html><body>hello</body></html>";
        let mut program = b"MZ".to_vec();
        program.resize(512, 0);
        for bytes in [&html[..], &program, b"just words", &[0; 64]] {
            for declared in ["image/png", "image/jpeg", "video/mp4", "audio/mpeg", "application/pdf"] {
                assert_eq!(of(bytes, declared, MediaKind::Document), Err(MediaFailure::TypeMismatch), "{declared}");
            }
            assert_eq!(of(bytes, "", MediaKind::Image), Err(MediaFailure::TypeMismatch));
            assert!(of(bytes, "", MediaKind::Document).is_ok());
            assert!(of(bytes, "application/octet-stream", MediaKind::Document).is_ok());
        }
        assert_eq!(of(b"%PDF-1.7", "image/png", MediaKind::Document), Err(MediaFailure::TypeMismatch));
        assert_eq!(of(&program, "application/zip", MediaKind::Document), Err(MediaFailure::TypeMismatch));
        assert!(of(b"%PDF-1.7", "application/postscript", MediaKind::Document).is_ok());
        assert!(of(b"{\\rtf1 x}", "text/rtf", MediaKind::Document).is_ok());
        assert!(of(b"\0\x01\0\0\0rest", "font/ttf", MediaKind::Document).is_ok());
        assert_eq!(of(b"a\0b", "text/plain", MediaKind::Document), Err(MediaFailure::TypeMismatch));
    }

    #[test]
    fn types_have_the_names_that_whatsapp_uses() {
        let seen = |head: &[u8], declared: &str, kind| of(head, declared, kind).unwrap().mime_type;
        let mut opus = b"OggS".to_vec();
        opus.resize(28, 0);
        opus.extend(b"OpusHead");
        assert_eq!(seen(&opus, "audio/ogg", MediaKind::Audio), VOICE_TYPE);
        assert_eq!(seen(b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4", MediaKind::Video), "video/mp4");
        assert_eq!(seen(b"\0\0\0\x18ftyp3gp5\0\0\0\0", "video/3gpp", MediaKind::Video), "video/3gpp");
        assert_eq!(seen(b"\0\0\0\x18ftypM4A \0\0\0\0", "audio/x-m4a", MediaKind::Audio), "audio/mp4");
        assert_eq!(seen(b"\xff\xf3\x90\x00", "audio/mpeg", MediaKind::Audio), "audio/mpeg");
        assert_eq!(
            seen(b"PK\x03\x04rest", "application/vnd.oasis.opendocument.text", MediaKind::Document),
            "application/zip"
        );
        assert_eq!(seen(b"a,b\n1,2\n", "text/csv; charset=utf-8", MediaKind::Document), "text/csv");
        assert_eq!(seen(b"whatever", "", MediaKind::Document), UNKNOWN_TYPE);
    }
}
