//! An event as it is posted.

use bytes::Bytes;
use warren_domain::{Event, event::EventView};

/// An event with the text that is posted, made once for all its tries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) event: Event,
    pub(crate) body: Bytes,
}

impl Item {
    /// The event of a log: the same text as in the log and in a stream.
    pub(crate) fn new(log: u64, event: Event) -> Self {
        // Plain data with text keys: it always has a text.
        let body = EventView::stored(log, &event).json().unwrap_or_default().into();
        Self { event, body }
    }

    /// What it takes in memory, bytes: the text, and the event that it was made from.
    pub(crate) fn bytes(&self) -> usize {
        2 * self.body.len() + 256
    }
}
