//! An event as it is posted.

use bytes::Bytes;
use warren_domain::{Event, Webhook};

/// An event with the text that is posted, made once for all its tries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) event: Event,
    pub(crate) body: Bytes,
}

impl Item {
    /// The event of a log, written as the webhook has it: the same text as in the log and in a stream, or the seed's.
    pub(crate) fn new(webhook: &Webhook, log: u64, event: Event) -> Self {
        let body = webhook.body(log, &event).into();
        Self { event, body }
    }

    /// What it takes in memory, bytes: the text, and the event that it was made from.
    pub(crate) fn bytes(&self) -> usize {
        2 * self.body.len() + 256
    }
}
