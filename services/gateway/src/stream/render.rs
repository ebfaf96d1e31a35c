//! Events as text, with what goes wrong as the gateway tells it.

use crate::problem::{Problem, Result};
use warren_domain::{Event, event::EventView};
use warren_ports::bus::Ephemeral;

/// A stored event of this log.
pub(crate) fn stored(log: u64, event: &Event) -> Result<String> {
    EventView::stored(log, event).json().map_err(Problem::internal)
}

/// An event that is not stored: without a place.
pub(crate) fn ephemeral(event: &Ephemeral) -> Result<String> {
    EventView::ephemeral(event.kind, event.instance, event.occurred_at, &event.data).json().map_err(Problem::internal)
}
