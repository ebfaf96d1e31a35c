//! How the library's names become record keys. Parts are joined by a zero byte, which no address, name or id contains, so
//! that a prefix search finds exactly the records of one part.

pub(super) const SEPARATOR: u8 = 0;

pub(super) fn text(part: &str) -> Vec<u8> {
    part.as_bytes().to_vec()
}

pub(super) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&SEPARATOR)
}

/// Everything that starts with `part` as a whole part.
pub(super) fn prefix(part: &str) -> Vec<u8> {
    let mut key = text(part);
    key.push(SEPARATOR);
    key
}

/// The text after the first separator.
pub(super) fn rest(key: &[u8]) -> String {
    let after = key.iter().position(|byte| *byte == SEPARATOR).map_or(0, |at| at + 1);
    String::from_utf8_lossy(key.get(after..).unwrap_or_default()).into_owned()
}

pub(super) fn number(id: u32) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

pub(super) fn parse_number(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_be_bytes)
}
