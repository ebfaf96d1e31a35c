//! Where in the log a reader is, as an opaque text: no map of instances is needed to go on.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};

const VERSION: u8 = 1;

/// A place in a log: everything up to `position` was seen. Written as 23 URL-safe characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which log.
    pub log: u64,
    /// The last position that was looked at; never negative.
    pub position: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [VERSION; 17];
        let (_, rest) = bytes.split_at_mut(1);
        let (log, position) = rest.split_at_mut(8);
        log.copy_from_slice(&self.log.to_be_bytes());
        position.copy_from_slice(&self.position.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let bytes: [u8; 17] = bytes.try_into().map_err(|_| NoCursor)?;
        let [version, rest @ ..] = bytes;
        let (log, position) = rest.split_at(8);
        let log = u64::from_be_bytes(log.try_into().map_err(|_| NoCursor)?);
        let position = i64::from_be_bytes(position.try_into().map_err(|_| NoCursor)?);
        (version == VERSION && position >= 0).then_some(Self { log, position }).ok_or(NoCursor)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn is_read_back_as_written() {
        for cursor in [Cursor { log: 0, position: 0 }, Cursor { log: u64::MAX, position: i64::MAX }] {
            let text = cursor.to_string();
            assert_eq!(text.len(), 23);
            assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        }
    }

    #[test]
    fn refuses_what_is_no_cursor() {
        let negative = Cursor { log: 1, position: -1 }.to_string();
        for text in ["", "garbage", "AQ", "' OR 1=1", &"A".repeat(10_000), &negative, &URL_SAFE_NO_PAD.encode([9; 17])] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor));
        }
    }
}
