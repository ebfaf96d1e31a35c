//! Frames out of bytes: a header at the beginning, then three bytes of length before each frame. Pure, no I/O.

use bytes::{Buf as _, BytesMut};
use wacore_binary::consts::WA_CONN_HEADER;

/// `ED` 0 1, a three byte length, then routing data that is of no use here.
const ROUTING_PREFACE: &[u8; 4] = b"ED\x00\x01";
/// Routing data is a few hundred bytes.
const ROUTING_LIMIT: usize = 16 * 1024;
const LENGTH_BYTES: usize = 3;

/// Why the bytes are refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// Another header than the protocol's.
    Header,
    /// A frame of so many bytes, over the limit.
    TooLarge(usize),
}

/// What came and was not taken yet. It holds what was pushed, no more.
#[derive(Default)]
pub(crate) struct Splitter {
    inbound: BytesMut,
}

impl Splitter {
    /// Takes bytes as they come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.inbound.extend_from_slice(bytes);
    }

    /// Takes the connection's header, with the routing data that may be before it; `false` until all of it is there.
    pub(crate) fn header(&mut self) -> Result<bool, Error> {
        let mut before = 0;
        if self.inbound.starts_with(ROUTING_PREFACE) {
            let rest = self.inbound.get(ROUTING_PREFACE.len()..).unwrap_or_default();
            let Some(length) = frame_length(rest) else { return Ok(false) };
            if length > ROUTING_LIMIT {
                return Err(Error::TooLarge(length));
            }
            before = ROUTING_PREFACE.len() + LENGTH_BYTES + length;
        } else if ROUTING_PREFACE.starts_with(&self.inbound) {
            return Ok(false);
        }
        let header = self.inbound.get(before..).unwrap_or_default();
        if header.len() < WA_CONN_HEADER.len() {
            return if WA_CONN_HEADER.starts_with(header) { Ok(false) } else { Err(Error::Header) };
        }
        if !header.starts_with(&WA_CONN_HEADER) {
            return Err(Error::Header);
        }
        self.inbound.advance(before + WA_CONN_HEADER.len());
        Ok(true)
    }

    /// Takes the next frame; `None` until all of it is there. One over the limit is refused as soon as its length is known.
    pub(crate) fn frame(&mut self, limit: usize) -> Result<Option<BytesMut>, Error> {
        let Some(length) = frame_length(&self.inbound) else { return Ok(None) };
        if length > limit {
            return Err(Error::TooLarge(length));
        }
        if self.inbound.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.inbound.advance(LENGTH_BYTES);
        let frame = self.inbound.split_to(length);
        if self.inbound.is_empty() {
            // An idle connection keeps no buffer.
            self.inbound = BytesMut::new();
        }
        Ok(Some(frame))
    }
}

/// Writes the length of a frame. Callers stay below 2^24 bytes: what is relayed came in under the same limit.
pub(crate) fn push_length(out: &mut BytesMut, length: usize) {
    let [.., high, middle, low] = length.to_be_bytes();
    out.extend_from_slice(&[high, middle, low]);
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    let [high, middle, low] = *bytes.first_chunk::<LENGTH_BYTES>()?;
    Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
}
