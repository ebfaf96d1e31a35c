//! `POST /v1/webhooks/{webhook}/replay` `{event_ids}` or `{from, to?}` or `{dead_letters: true}` -> 202 with the replay.

use super::{known, log, replays::View};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::{CursorExpired, Problems},
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    stream::cursor,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use warren_domain::{
    ErrorKind, EventId, MessageId, ReplayId, TenantId, WebhookId,
    webhook::{Replay, Replayed},
};

/// How many events can be named.
const EVENTS: usize = 1_000;
/// How many replays of a webhook may be under way.
const REPLAYS: u32 = 10;

/// What is to be delivered again: one of `event_ids`, `from` and `dead_letters`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayRequest, examples(
    json!({"event_ids": ["evt_0192f0c1a2b37d4e8f90a1b2c3d4e57a"]}),
    json!({"from": "begin", "to": "now"}),
    json!({"dead_letters": true})
))]
pub(crate) struct Body {
    /// These events, whether or not the webhook wants their type: dead letters, or in the log.
    #[schema(min_items = 1, max_items = 1_000)]
    event_ids: Option<Vec<String>>,
    /// The events of the log behind this place that the webhook wants: a cursor, an event's id, or `begin`.
    from: Option<String>,
    /// Up to and with this place: a cursor, an event's id, or `now` (the default). Only with `from`.
    to: Option<String>,
    /// All dead letters of now.
    dead_letters: Option<bool>,
}

/// Deliver events again.
///
/// They are posted beside the live ones, in the order of the log for each instance, with their own ids and the header
/// `webhook-replay: true`, and are tried again as those are. A dead letter that is taken is none any more. At most 10 replays of
/// a webhook are under way.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/replay",
    tag = "webhooks",
    operation_id = "startReplay",
    params(("webhook" = WebhookId, Path)),
    request_body = Body,
    responses((status = 202, description = "The replay is under way.", body = View), CursorExpired, Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<WebhookId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, replay: MessageId| async move {
        known(&gateway, tenant, id).await?;
        let what = what(&gateway, tenant, id, body).await?;
        let replay = ReplayId::from_bytes(*replay.as_bytes());
        let replay = Replay { id: replay, position: what.begin(), what, created_at: gateway.now() };
        gateway.ledger.start_replay(tenant, id, &replay, REPLAYS).await?;
        let location = format!("/v1/webhooks/{id}/replays");
        Ok(Answer::json(StatusCode::ACCEPTED, &View::new(log(&gateway).await?, &replay))?.at(location))
    };
    request.once(&app, tenant, Repeat::MakesAnother, work).await
}

async fn what(app: &App, tenant: TenantId, webhook: WebhookId, body: Body) -> Result<Replayed> {
    match body {
        Body { event_ids: Some(ids), from: None, to: None, dead_letters: None } => {
            positions(app, tenant, webhook, &ids).await
        }
        Body { event_ids: None, from: Some(from), to, dead_letters: None } => {
            let after = cursor::resolve(app, tenant, &from).await.map_err(|problem| problem.with("field", "from".into()))?;
            let to = cursor::resolve(app, tenant, to.as_deref().unwrap_or("now")).await;
            let to = to.map_err(|problem| problem.with("field", "to".into()))?;
            if to.position < after.position {
                return Err(Problem::field("to", "This place is before `from`."));
            }
            Ok(Replayed::Range { after: after.position, to: to.position })
        }
        Body { event_ids: None, from: None, to: None, dead_letters: Some(true) } => {
            Ok(Replayed::DeadLetters { to: app.ledger.log_bounds().await?.head })
        }
        _ => Err(Problem::invalid("invalid_request", "Name one of event_ids, from (with or without to) and dead_letters.")),
    }
}

async fn positions(app: &App, tenant: TenantId, webhook: WebhookId, ids: &[String]) -> Result<Replayed> {
    if ids.is_empty() || ids.len() > EVENTS {
        return Err(Problem::field("event_ids", "Name 1 to 1,000 events."));
    }
    let unknown = |index: usize| {
        let detail = "There is no such event, neither among the dead letters nor in the log (any more).";
        Problem::new(ErrorKind::NotFound, "unknown_event", detail).with("field", json!(format!("event_ids[{index}]")))
    };
    let parsed = ids.iter().enumerate().map(|(index, id)| id.parse().map_err(|_| unknown(index)));
    let events: Vec<EventId> = parsed.collect::<Result<_>>()?;
    let dead = app.ledger.dead_letter_positions(tenant, webhook, &events).await?;
    let mut positions = Vec::with_capacity(events.len());
    for (index, (event, dead)) in events.iter().zip(dead).enumerate() {
        let position = match dead {
            Some(position) => Some(position),
            None => app.ledger.event_position(tenant, *event).await?,
        };
        positions.push(position.ok_or_else(|| unknown(index))?);
    }
    positions.sort_unstable();
    positions.dedup();
    Ok(Replayed::Positions(positions))
}
