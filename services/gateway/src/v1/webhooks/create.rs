//! `POST /v1/webhooks` `{url, events?, instances?, description?, headers?, enabled?, secret?, after?}` -> 201 with the webhook
//! and its secret, which is shown here and never again.

use super::{
    View, WEBHOOKS, check_description, check_events, check_instances, check_own_headers, check_secret, check_url, known, log,
};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::{CursorExpired, Problems},
    problem::Result,
    state::App,
    stream::cursor,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use warren_domain::{
    EventType, InstanceId, MessageId, TenantId, Webhook, WebhookId,
    webhook::{Disabled, Format, Secret, Secrets, Standing},
};

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook, examples(
    json!({"url": "https://hooks.example.com/warren"}),
    json!({
        "url": "https://hooks.example.com/warren",
        "events": ["message.received", "message.status"],
        "instances": ["0192f0c1a2b37d4e8f90a1b2c3d4e52b"],
        "description": "orders",
        "headers": {"Authorization": "Bearer abc"},
        "enabled": false,
        "after": "begin"
    })
))]
pub(crate) struct Body {
    /// Where events are posted to: `https`, reachable from the public internet unless the deployment allows more.
    #[schema(max_length = 2_048, pattern = "^https?://")]
    url: String,
    /// Which types are posted; none is all.
    #[serde(default)]
    events: Vec<EventType>,
    /// Of which instances; none is all.
    #[serde(default)]
    #[schema(max_items = 1_000)]
    instances: Vec<InstanceId>,
    /// A note for people.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// What is sent along. The values are shown to nobody afterwards.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Whether events are posted. Default `true`.
    enabled: Option<bool>,
    /// What its posts are signed with: `whsec_` and the base64 of 24 to 64 random bytes. A fresh one by default.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+={0,2}$")]
    secret: Option<String>,
    /// Where in the log to begin: behind a cursor or an event's id, at the `begin` of the log, or `now` (the default).
    after: Option<String>,
}

/// A webhook with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookMade)]
pub(super) struct Shown<'a> {
    /// What its posts are signed with; in a replay of this answer `null`, with `secret_withheld`.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<&'a str>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_withheld: Option<&'static str>,
    #[serde(flatten)]
    #[schema(value_type = View)]
    view: &'a View,
}

/// Create a webhook.
///
/// Each event is posted as JSON, as it is in the log and in a stream, with the headers of [Standard
/// Webhooks](https://www.standardwebhooks.com): `webhook-id` (the event's id, the same in every try), `webhook-timestamp` and
/// `webhook-signature`. 2xx is success; redirects are not followed. What fails is tried again after 5 s, 5 m, 30 m, 2 h, 5 h,
/// 10 h and 10 h, and is a dead letter then; `Retry-After` is heeded, and 410 disables the webhook. Delivery is at least once,
/// in order for each instance: an event that fails holds up those of its instance, and no others.
///
/// The secret is shown in this answer and never again.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "createWebhook",
    request_body = Body,
    responses((status = 201, description = "The webhook.", body = Shown<'static>), CursorExpired, Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Writer, request: Mutation<Body>) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let url = check_url(&app, &request.body.url)?;
    let secret = check_secret(request.body.secret.as_deref())?;
    if let Some(description) = &request.body.description {
        check_description(description)?;
    }
    let work = move |body: Body, id: MessageId| create(gateway, tenant, id, body, url, secret);
    request.once(&app, tenant, Repeat::MakesAnother, work).await
}

async fn create(app: App, tenant: TenantId, id: MessageId, body: Body, url: String, secret: Secret) -> Result<Answer> {
    let start = cursor::resolve(&app, tenant, body.after.as_deref().unwrap_or("now")).await?;
    let now = app.now();
    let webhook = Webhook {
        id: WebhookId::from_bytes(*id.as_bytes()),
        tenant,
        url,
        description: body.description,
        events: check_events(body.events)?,
        instances: check_instances(&app, tenant, body.instances).await?,
        headers: check_own_headers(body.headers)?,
        secrets: Secrets::new(secret),
        format: Format::Standard,
        disabled: (body.enabled == Some(false)).then_some(Disabled::Paused),
        created_at: now,
        updated_at: now,
        position: start.position,
        standing: Standing::default(),
    };
    app.ledger.create_webhook(&webhook, WEBHOOKS).await?;
    // Whoever took over an abandoned reservation finds the first one's, with that one's secret.
    let webhook = known(&app, tenant, webhook.id).await?;
    let location = format!("/v1/webhooks/{}", webhook.id);
    let secret = webhook.secrets.current.clone();
    Ok(shown_once(StatusCode::CREATED, &secret, &View::new(log(&app).await?, webhook))?.at(location))
}

/// An answer that shows a secret the first time only.
pub(super) fn shown_once(status: StatusCode, secret: &Secret, view: &View) -> Result<Answer> {
    let shown = Shown { secret: Some(secret.reveal()), secret_withheld: None, view };
    let withheld = "The secret was shown once, in the first answer. If that was lost, replace it.";
    let replayed = Shown { secret: None, secret_withheld: Some(withheld), view };
    Answer::json(status, &shown)?.shown_once(&replayed)
}
