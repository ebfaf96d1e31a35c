//! The place in the log that a reader asks for.

use crate::{
    problem::{Problem, Result},
    state::App,
};
use warren_domain::{ErrorKind, EventId, TenantId, event::Cursor};
use warren_ports::ledger::LogBounds;

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
