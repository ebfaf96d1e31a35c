//! A look at the encoding of a node before the library decodes it.
//!
//! The library's decoder makes room for as many elements as a list claims before it has seen one, and reads the user of an
//! address as whatever value follows, which may be an address again: a thousand bytes ask for a gigabyte, a million end the
//! process for want of stack. This walk takes neither memory nor stack by what a peer claims. It judges sizes and nesting
//! alone; whether what is inside means anything is for the decoder to say.

use wacore_binary::token::{
    AD_JID, BINARY_8, BINARY_20, BINARY_32, DICTIONARY_0, DICTIONARY_3, FB_JID, HEX_8, INTEROP_JID, JID_PAIR, LIST_8,
    LIST_16, NIBBLE_8, PACKED_MAX,
};

/// Nodes and attributes in one stanza. A message to a group of 1,024 with four devices each has 25,000; decoded, so many take
/// 13 MB.
pub(crate) const MAX_PARTS: usize = 131_072;
/// Nodes inside nodes; real stanzas have a dozen, and the decoder ends at 128.
const MAX_DEPTH: usize = 96;
/// The shortest node: a list of one token.
const SHORTEST_NODE: usize = 3;

/// Why an encoding is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("it ends before what it announces")]
    Truncated,
    #[error("a list was expected, or was not")]
    Unexpected,
    #[error("nodes or addresses are nested too deep")]
    Deep,
    #[error("it has too many nodes and attributes")]
    TooMany,
}

/// Checks one encoded node, without its flag byte. What follows it is the decoder's concern.
///
/// # Errors
/// It claims more than it has, or than a stanza may have.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut walk = Walk { rest: bytes, parts: 0 };
    // Of each node around this one, how many children are still to come.
    let mut open: Vec<usize> = Vec::new();
    loop {
        let children = walk.node()?;
        if children > 0 {
            if open.len() >= MAX_DEPTH {
                return Err(Error::Deep);
            }
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        match open.last_mut() {
            None => return Ok(()),
            Some(left) => *left -= 1,
        }
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    parts: usize,
}

impl Walk<'_> {
    /// Reads a node up to its children; how many there are.
    fn node(&mut self) -> Result<usize, Error> {
        let tag = self.byte()?;
        let size = self.list(tag)?.filter(|size| *size > 0).ok_or(Error::Unexpected)?;
        let attributes = (size - 1) / 2;
        self.count(1 + attributes)?;
        self.has(size)?;
        // Its name, and each attribute's name and value.
        for _ in 0..=2 * attributes {
            self.value(true)?;
        }
        if size % 2 == 1 {
            return Ok(0);
        }
        let tag = self.byte()?;
        let Some(children) = self.list(tag)? else {
            self.value_of(tag, true)?;
            return Ok(0);
        };
        self.has(children * SHORTEST_NODE)?;
        Ok(children)
    }

    /// The size of a list, if this is the beginning of one.
    fn list(&mut self, tag: u8) -> Result<Option<usize>, Error> {
        match tag {
            LIST_8 => self.number(1).map(Some),
            LIST_16 => self.number(2).map(Some),
            _ => Ok(None),
        }
    }

    fn value(&mut self, may_be_address: bool) -> Result<(), Error> {
        let tag = self.byte()?;
        self.value_of(tag, may_be_address)
    }

    fn value_of(&mut self, tag: u8, may_be_address: bool) -> Result<(), Error> {
        match tag {
            BINARY_8 => self.sized(1),
            BINARY_20 => self.sized(3),
            BINARY_32 => self.sized(4),
            NIBBLE_8 | HEX_8 => {
                let pairs = self.number(1)? & usize::from(PACKED_MAX);
                self.skip(pairs)
            }
            DICTIONARY_0..=DICTIONARY_3 => self.skip(1),
            LIST_8 | LIST_16 => Err(Error::Unexpected),
            JID_PAIR | AD_JID | FB_JID | INTEROP_JID if !may_be_address => Err(Error::Deep),
            JID_PAIR => self.value(false).and_then(|()| self.value(false)),
            AD_JID => self.skip(2).and_then(|()| self.value(false)),
            FB_JID => self.value(false).and_then(|()| self.skip(2)).and_then(|()| self.value(false)),
            INTEROP_JID => self.value(false).and_then(|()| self.skip(4)).and_then(|()| self.value(false)),
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize) -> Result<(), Error> {
        self.parts += more;
        if self.parts > MAX_PARTS { Err(Error::TooMany) } else { Ok(()) }
    }

    fn has(&self, bytes: usize) -> Result<(), Error> {
        if self.rest.len() < bytes { Err(Error::Truncated) } else { Ok(()) }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, Error> {
        let (number, rest) = self.rest.split_at_checked(bytes).ok_or(Error::Truncated)?;
        self.rest = rest;
        // The upper half of the first of three bytes says nothing.
        let mask = if bytes == 3 { 0x000f_ffff } else { usize::MAX };
        Ok(number.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) & mask)
    }

    fn sized(&mut self, bytes: usize) -> Result<(), Error> {
        let length = self.number(bytes)?;
        self.skip(length)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.has(bytes)?;
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        Ok(())
    }
}
