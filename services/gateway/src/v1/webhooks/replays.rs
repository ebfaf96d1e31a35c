//! `GET /v1/webhooks/{webhook}/replays`: those under way. `DELETE /v1/webhooks/{webhook}/replays/{replay}` -> 204 ends one.

use super::{known, log};
use crate::{
    auth::{Reader, Writer},
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::{Id, Ids},
    problem::{Problem, Result},
    state::App,
    v1::Page,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{
    ReplayId, Timestamp, WebhookId,
    event::Cursor,
    webhook::{Replay, Replayed},
};

/// A replay as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e59c",
    "of": "range",
    "events": null,
    "cursor": "AQAAAAAAAAABAAAAAAAAAAA",
    "to": "AQAAAAAAAAABAAAAAAAAACo",
    "created_at": "2026-11-22T09:30:00.000Z"
})))]
pub(super) struct View {
    id: ReplayId,
    /// What is replayed.
    of: Of,
    /// How many events were named.
    events: Option<usize>,
    /// Everything of it up to here was delivered, or waits behind an event of its instance that failed.
    cursor: String,
    /// Where it ends.
    to: String,
    created_at: Timestamp,
}

/// What is replayed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayOf)]
enum Of {
    /// A range of the log.
    Range,
    /// Events that were named.
    Events,
    /// Dead letters.
    DeadLetters,
}

impl View {
    pub(super) fn new(log: u64, replay: &Replay) -> Self {
        let (of, events) = match &replay.what {
            Replayed::Range { .. } => (Of::Range, None),
            Replayed::Positions(positions) => (Of::Events, Some(positions.len())),
            Replayed::DeadLetters { .. } => (Of::DeadLetters, None),
        };
        let place = |position: i64| Cursor { log, position: position.max(0) }.to_string();
        Self {
            id: replay.id,
            of,
            events,
            cursor: place(replay.position),
            to: place(replay.what.end()),
            created_at: replay.created_at,
        }
    }
}

/// List the replays of a webhook that are under way: at most 10.
///
/// One that is at its end is not here any more.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/replays",
    tag = "webhooks",
    operation_id = "listReplays",
    params(("webhook" = WebhookId, Path)),
    responses((status = 200, description = "The replays.", body = Page<View>), Problems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Reader,
    Id(id): Id<WebhookId>,
) -> Result<Json<impl serde::Serialize>> {
    known(&app, caller.tenant, id).await?;
    let log = log(&app).await?;
    let replays = app.ledger.replays(caller.tenant, id).await?;
    let data: Vec<View> = replays.iter().map(|replay| View::new(log, replay)).collect();
    Ok(Json(Page { data, next_cursor: None }))
}

/// End a replay. What was delivered of it stays delivered.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{webhook}/replays/{replay}",
    tag = "webhooks",
    operation_id = "cancelReplay",
    params(("webhook" = WebhookId, Path), ("replay" = ReplayId, Path)),
    responses((status = 204, description = "It is over."), Problems)
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Writer,
    Ids(id, replay): Ids<WebhookId, ReplayId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        if !gateway.ledger.cancel_replay(tenant, id, replay).await? {
            return Err(Problem::not_found());
        }
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
