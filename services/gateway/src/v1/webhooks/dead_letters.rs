//! `GET /v1/webhooks/{webhook}/dead-letters` `?limit=&cursor=`: events that were given up, in the order of the log.

use super::{known, log};
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    state::App,
    v1,
};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use warren_domain::{
    Timestamp, WebhookId,
    event::{Cursor, EventView},
    webhook::{DeadLetter, DeliveryFailure},
};

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Paging {
    /// How many at most. Default 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before this one.
    #[param(pattern = "^[A-Za-z0-9_-]{23}$")]
    cursor: Option<String>,
}

/// An event that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct View {
    /// The event, as it was posted.
    #[schema(value_type = EventView<'static>)]
    event: Box<RawValue>,
    /// How often it was tried.
    attempts: u32,
    /// What was answered last, if anything.
    #[schema(minimum = 100, maximum = 999, example = 500)]
    status: Option<u16>,
    /// Why the last try failed.
    failure: DeliveryFailure,
    /// When it was given up.
    died_at: Timestamp,
}

/// List the events that were given up, in the order of the log.
///
/// They are kept for 30 days; one that is replayed and taken is none any more.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/dead-letters",
    tag = "webhooks",
    operation_id = "listDeadLetters",
    params(("webhook" = WebhookId, Path), Paging),
    responses((status = 200, description = "A page of dead letters.", body = v1::Page<View>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Reader,
    Id(id): Id<WebhookId>,
    mut query: Parameters,
) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let after: Option<Cursor> = query.parsed("cursor", |text| text.parse().ok())?;
    query.finish()?;
    known(&app, caller.tenant, id).await?;
    let log = log(&app).await?;
    let position = after.map_or(0, |cursor| cursor.position);
    let letters = app.ledger.dead_letters(caller.tenant, id, position, limit + 1).await?;
    // The text of each is made here, where it may still fail.
    let mut shown = Vec::with_capacity(letters.len());
    for letter in letters {
        shown.push((letter.event.position, view(log, letter)?));
    }
    let cursor = |(position, _): &(i64, View)| Cursor { log, position: *position }.to_string();
    Ok(v1::Page::cut(shown, limit, cursor, |(_, view)| view).into_response())
}

fn view(log: u64, letter: DeadLetter) -> Result<View> {
    let text = EventView::stored(log, &letter.event).json().map_err(Problem::internal)?;
    Ok(View {
        event: RawValue::from_string(text).map_err(Problem::internal)?,
        attempts: letter.tries,
        status: letter.status,
        failure: letter.failure,
        died_at: letter.at,
    })
}
