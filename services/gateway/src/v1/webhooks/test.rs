//! `POST /v1/webhooks/{webhook}/test` `{type?}` -> 200 `{delivered, status, failure, took_ms, event}`: one sample event, posted
//! now by this gateway.

use super::known;
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::{Duration, Instant};
use utoipa::ToSchema;
use warren_domain::{
    EventType, InstanceId, Webhook, WebhookId,
    event::EventView,
    webhook::{DeliveryFailure, Occasion, request_headers, sample},
};
use warren_egress::{Limits, PostError};

/// How long the receiver may take.
const WITHIN: Duration = Duration::from_secs(15);
/// What is read of its answer.
const ANSWER_BYTES: u64 = 64 * 1024;

/// What is to be tried.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookTest, examples(json!({"type": "message.received"})))]
pub(crate) struct Body {
    /// Which type of event. By default the first that the webhook wants, or `message.received`.
    #[serde(rename = "type")]
    kind: Option<EventType>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTestResult)]
struct Tried {
    /// Whether it answered with 2xx.
    delivered: bool,
    /// What it answered.
    #[schema(minimum = 100, maximum = 999, example = 204)]
    status: Option<u16>,
    /// Why it was not delivered.
    #[schema(example = json!(null))]
    failure: Option<DeliveryFailure>,
    /// How long that took, milliseconds.
    took_ms: u32,
    /// What was posted: an event that did not happen, without a place in the log.
    #[schema(value_type = EventView<'static>)]
    event: Box<RawValue>,
}

/// Post a sample event to a webhook now, and say what came back.
///
/// It is signed like every other post, and marked by the header `webhook-test: true`. It is posted to a disabled webhook too, is
/// tried once, and is not in the log of attempts.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/test",
    tag = "webhooks",
    operation_id = "testWebhook",
    params(("webhook" = WebhookId, Path)),
    request_body = Body,
    responses((status = 200, description = "What came back.", body = Tried), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<WebhookId>,
    request: Mutation<Body>,
) -> Result<Response> {
    if request.body.kind.is_some_and(EventType::is_ephemeral) {
        return Err(Problem::field("type", "Ephemeral events are not posted."));
    }
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        let webhook = known(&gateway, tenant, id).await?;
        if body.kind.is_some_and(|kind| !webhook.format.can_write(kind)) {
            return Err(Problem::field("type", "This webhook posts messages that come in, and nothing else."));
        }
        Answer::json(StatusCode::OK, &post(&gateway, &webhook, body.kind).await?)
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

async fn post(app: &App, webhook: &Webhook, kind: Option<EventType>) -> Result<Tried> {
    let now = app.now();
    let kind = kind.or(webhook.events.first().copied()).unwrap_or(EventType::MessageReceived);
    let event = sample(kind, now).ok_or_else(|| Problem::internal("a stored type has no sample"))?;
    let instance = InstanceId::from_bytes([0; 16]);
    let text = webhook.sample_body(&event, instance);
    let headers = request_headers(webhook, Occasion::Test, &event.id.to_string(), now, text.as_bytes());
    let limits = Limits { bytes: ANSWER_BYTES, total: WITHIN };
    let begun = Instant::now();
    let answer = app.egress.post(&webhook.url, &headers, text.clone().into(), limits).await;
    let (status, failure) = match answer {
        Ok(posted) => (Some(posted.status), DeliveryFailure::of_status(posted.status)),
        Err(PostError::TimedOut) => (None, Some(DeliveryFailure::TimedOut)),
        Err(PostError::Unreachable) => (None, Some(DeliveryFailure::Unreachable)),
        Err(PostError::UrlNotAllowed(_) | PostError::HeaderNotAllowed(_)) => (None, Some(DeliveryFailure::NotAllowed)),
    };
    Ok(Tried {
        delivered: failure.is_none(),
        status,
        failure,
        took_ms: u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX),
        event: RawValue::from_string(text).map_err(Problem::internal)?,
    })
}
