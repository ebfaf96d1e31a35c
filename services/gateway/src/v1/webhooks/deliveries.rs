//! `GET /v1/webhooks/{webhook}/deliveries` `?status=&limit=&cursor=`: what was tried, newest first.

use super::known;
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::Result,
    state::App,
    v1,
};
use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use warren_domain::{
    EventType, InstanceId, Timestamp, WebhookId,
    webhook::{Attempt, DeliveryFailure},
};
use warren_ports::ledger::AttemptFilter;

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It was taken.
    Succeeded,
    /// It was not.
    Failed,
}

/// Which ones.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Filters {
    /// Only those that ended so.
    #[param(inline)]
    status: Option<Outcome>,
    /// How many at most. Default 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before this one.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// One try to deliver an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery, examples(json!({
    "event_id": "evt_0192f0c1a2b37d4e8f90a1b2c3d4e57a",
    "type": "message.received",
    "instance_id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
    "attempt": 1,
    "succeeded": false,
    "status": 503,
    "failure": "server_error",
    "took_ms": 41,
    "at": "2026-11-22T09:30:00.000Z",
    "replay": false
})))]
struct View {
    #[schema(pattern = "^evt_[0-9a-f]{32}$")]
    event_id: String,
    #[serde(rename = "type")]
    kind: EventType,
    instance_id: InstanceId,
    /// The how many-th try of this event, from 1.
    attempt: u32,
    succeeded: bool,
    /// What was answered, if anything.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Why it failed.
    failure: Option<DeliveryFailure>,
    /// How long it took, milliseconds.
    took_ms: u32,
    /// When it began.
    at: Timestamp,
    /// Whether it belongs to a replay.
    replay: bool,
}

impl From<Attempt> for View {
    fn from(attempt: Attempt) -> Self {
        Self {
            event_id: attempt.event.to_string(),
            kind: attempt.kind,
            instance_id: attempt.instance,
            attempt: attempt.tries,
            succeeded: attempt.failure.is_none(),
            status: attempt.status,
            failure: attempt.failure,
            took_ms: attempt.took_ms,
            at: attempt.at,
            replay: attempt.replay,
        }
    }
}

/// List what was tried to deliver to a webhook, newest first.
///
/// The last 500 that succeeded and the last 500 that failed are kept.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/deliveries",
    tag = "webhooks",
    operation_id = "listDeliveries",
    params(("webhook" = WebhookId, Path), Filters),
    responses((status = 200, description = "A page of tries.", body = v1::Page<View>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Reader,
    Id(id): Id<WebhookId>,
    mut query: Parameters,
) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let before = query.parsed("cursor", |text| text.parse().ok().filter(|number: &i64| *number >= 0))?;
    let failed = query.parsed("status", |text| match text {
        "succeeded" => Some(false),
        "failed" => Some(true),
        _ => None,
    })?;
    query.finish()?;
    known(&app, caller.tenant, id).await?;
    let attempts = app.ledger.attempts(caller.tenant, id, AttemptFilter { failed, before }, limit + 1).await?;
    Ok(v1::Page::cut(attempts, limit, |attempt: &Attempt| attempt.number.to_string(), View::from))
}
