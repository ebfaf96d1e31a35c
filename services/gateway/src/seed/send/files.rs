//! What a file is sent as, by its name, and how large it may be.

use serde_json::{Map, Value, json};
use warren_domain::media::MediaKind;

const MB: u64 = 1024 * 1024;

/// What the seed sends a file of this name as.
pub(super) fn kind_of(name: &str) -> MediaKind {
    match extension(name).as_str() {
        "jpg" | "jpeg" | "png" | "gif" | "webp" => MediaKind::Image,
        "mp4" | "mov" | "avi" | "mkv" => MediaKind::Video,
        "mp3" | "ogg" | "m4a" | "opus" => MediaKind::Audio,
        _ => MediaKind::Document,
    }
}

/// What a file of this name can be sent as, if it is to be sent as that: WhatsApp's clients show some files only as documents,
/// whatever they are called.
pub(super) fn showable(kind: MediaKind, name: &str) -> MediaKind {
    match extension(name).as_str() {
        "gif" | "webp" | "mov" | "avi" | "mkv" => MediaKind::Document,
        _ => kind,
    }
}

/// The largest file that the seed sends as this, bytes.
pub(super) const fn most(kind: MediaKind) -> u64 {
    match kind {
        MediaKind::Image | MediaKind::Sticker => 5 * MB,
        MediaKind::Video | MediaKind::Audio => 16 * MB,
        MediaKind::Document => 100 * MB,
    }
}

/// Whether words can be under a file of this kind.
pub(super) const fn has_caption(kind: MediaKind) -> bool {
    !matches!(kind, MediaKind::Audio | MediaKind::Sticker)
}

/// What is answered of a file.
pub(super) fn described(kind: MediaKind, name: &str, size: u64) -> Map<String, Value> {
    let members = [("mediaType", json!(kind.as_str())), ("fileName", json!(name)), ("fileSize", json!(size))];
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_says() {
        for (names, kind) in [
            (&["a.jpg", "a.JPEG", "b.c.png", "a.gif", "a.webp"][..], MediaKind::Image),
            (&["a.mp4", "a.mov", "a.avi", "a.mkv"], MediaKind::Video),
            (&["a.mp3", "a.ogg", "a.m4a", "a.opus"], MediaKind::Audio),
            (&["a.pdf", "png", "", "a.", "a.png.exe"], MediaKind::Document),
        ] {
            for name in names {
                assert_eq!(kind_of(name), kind, "{name}");
            }
        }
    }

    #[test]
    fn what_no_client_shows_goes_as_a_document() {
        assert_eq!(showable(MediaKind::Image, "a.gif"), MediaKind::Document);
        assert_eq!(showable(MediaKind::Image, "a.png"), MediaKind::Image);
        assert_eq!(showable(MediaKind::Video, "a.mkv"), MediaKind::Document);
    }
}
