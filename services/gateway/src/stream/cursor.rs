//! Where in the log a reader is, as an opaque text: no map of instances is needed to go on.

use crate::{
    problem::{Problem, Result},
    state::App,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};
use warren_domain::{ErrorKind, EventId, TenantId};
use warren_ports::ledger::LogBounds;

const VERSION: u8 = 1;

/// A place in a log: everything up to `position` was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which log.
    pub(crate) log: u64,
    /// The last position that was looked at.
    pub(crate) position: i64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> std::result::Result<Self, NoCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let bytes: [u8; 17] = bytes.try_into().map_err(|_| NoCursor)?;
        let [version, rest @ ..] = bytes;
        let (log, position) = rest.split_at(8);
        let log = u64::from_be_bytes(log.try_into().map_err(|_| NoCursor)?);
        let position = i64::from_be_bytes(position.try_into().map_err(|_| NoCursor)?);
        (version == VERSION && position >= 0).then_some(Self { log, position }).ok_or(NoCursor)
    }
}

/// The place that `after=` means: a cursor, an event's id, `begin` or `now`.
///
/// # Errors
/// 410 `cursor_expired` with the oldest cursor if the log does not reach back so far, or is another log; 422
/// `invalid_cursor` for a text that was never a cursor.
pub(crate) async fn resolve(app: &App, tenant: TenantId, after: &str) -> Result<Cursor> {
    let bounds = app.ledger.log_bounds().await?;
    let here = |position| Cursor { log: bounds.log, position };
    match after {
        "begin" => return Ok(here(bounds.oldest)),
        "now" => return Ok(here(bounds.head)),
        _ => {}
    }
    if after.starts_with("evt_") {
        let id: EventId = after.parse().map_err(|_| invalid())?;
        let position = app.ledger.event_position(tenant, id).await?;
        return position.map(here).ok_or_else(|| expired(bounds));
    }
    let cursor: Cursor = after.parse().map_err(|_| invalid())?;
    let is_in_this_log =
        cursor.log == bounds.log && (bounds.oldest..=bounds.head.max(bounds.oldest)).contains(&cursor.position);
    is_in_this_log.then_some(cursor).ok_or_else(|| expired(bounds))
}

fn invalid() -> Problem {
    Problem::invalid("invalid_cursor", "after is a cursor, an event's id, begin or now.").with("field", "after".into())
}

fn expired(bounds: LogBounds) -> Problem {
    let oldest = Cursor { log: bounds.log, position: bounds.oldest };
    Problem::new(
        ErrorKind::Gone,
        "cursor_expired",
        "The log does not go back to this place any more; go on from oldest_cursor, and expect that events are missing.",
    )
    .with("oldest_cursor", oldest.to_string().into())
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
