//! `PATCH /v1/webhooks/{webhook}` `{url?, events?, instances?, description?, headers?, enabled?, after?}` -> 200 with the
//! webhook. Lists and headers are replaced as a whole, `null` removes the description.

use super::{
    View, check_description, check_events, check_instances, check_own_headers, check_standard, check_url, known, log,
};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::{CursorExpired, Problems},
    parameters::{Id, nullable},
    problem::{Problem, Result},
    state::App,
    stream::cursor,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use warren_domain::{EventType, InstanceId, TenantId, WebhookId, webhook::Disabled};
use warren_ports::ledger::WebhookPatch;

/// What is to be changed of a webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChange, examples(json!({"events": ["message.received"], "enabled": true})))]
pub(crate) struct Body {
    /// Another address; what failed is tried there at once.
    #[schema(max_length = 2_048, pattern = "^https?://")]
    url: Option<String>,
    /// Which types are posted; none is all.
    events: Option<Vec<EventType>>,
    /// Of which instances; none is all.
    #[schema(max_items = 1_000)]
    instances: Option<Vec<InstanceId>>,
    /// A note for people; `null` removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Option<String>>,
    /// What is sent along, as a whole.
    headers: Option<BTreeMap<String, String>>,
    /// Whether events are posted. A webhook that is enabled again goes on where it was.
    enabled: Option<bool>,
    /// Go on elsewhere in the log, whatever was delivered: behind a cursor or an event's id, at the `begin` of the log, or
    /// `now`. What waited to be tried again is forgotten; dead letters and replays stay.
    after: Option<String>,
}

/// Change a webhook. Its lists and headers are replaced as a whole.
///
/// The change is in force within a few seconds. What the format `seed` posts cannot be changed: 409 `seed_webhook`.
#[utoipa::path(
    patch,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "updateWebhook",
    params(("webhook" = WebhookId, Path)),
    request_body = Body,
    responses((status = 200, description = "The webhook.", body = View), CursorExpired, Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<WebhookId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let url = request.body.url.as_deref().map(|url| check_url(&app, url)).transpose()?;
    if let Some(Some(description)) = &request.body.description {
        check_description(description)?;
    }
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| update(gateway, tenant, id, body, url);
    request.once(&app, tenant, Repeat::Harmless, work).await
}

async fn update(app: App, tenant: TenantId, id: WebhookId, body: Body, url: Option<String>) -> Result<Answer> {
    let before = known(&app, tenant, id).await?;
    if body.events.is_some() || body.instances.is_some() {
        check_standard(&before)?;
    }
    let instances = match body.instances {
        Some(instances) => Some(check_instances(&app, tenant, instances).await?),
        None => None,
    };
    let position = match &body.after {
        Some(after) => Some(cursor::resolve(&app, tenant, after).await?.position),
        None => None,
    };
    let disabled = match body.enabled {
        Some(true) if before.disabled.is_some() => Some(None),
        Some(false) => Some(Some(Disabled::Paused)),
        _ => None,
    };
    let patch = WebhookPatch {
        url,
        description: body.description,
        events: body.events.map(check_events).transpose()?,
        instances,
        headers: body.headers.map(check_own_headers).transpose()?,
        secret: None,
        disabled,
        position,
    };
    let webhook = app.ledger.update_webhook(tenant, id, patch, app.now()).await?.ok_or_else(Problem::not_found)?;
    Answer::json(StatusCode::OK, &View::new(log(&app).await?, webhook))
}
