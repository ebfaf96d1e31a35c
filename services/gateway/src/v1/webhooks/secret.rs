//! `POST /v1/webhooks/{webhook}/secret` `{secret?}` -> 200 with the webhook and its new secret. For 24 h posts are signed with
//! both, so that the receiver can change over.

use super::{View, check_secret, check_standard, create::Shown, create::shown_once, known, log};
use crate::{
    auth::Writer,
    idempotency::{Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use std::time::Duration;
use utoipa::ToSchema;
use warren_domain::WebhookId;

/// How long the former secret lives on.
const BOTH: Duration = Duration::from_hours(24);

/// A new secret, or the wish for one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookSecret, examples(json!({})))]
pub(crate) struct Body {
    /// `whsec_` and the base64 of 24 to 64 random bytes. A fresh one by default.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+={0,2}$")]
    secret: Option<String>,
}

/// Replace the secret of a webhook.
///
/// For 24 h posts carry two signatures, one by the former secret; the one before that ends at once. The new one is shown in this
/// answer and never again. The format `seed` has its secret from elsewhere: 409 `seed_webhook`.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/secret",
    tag = "webhooks",
    operation_id = "replaceWebhookSecret",
    params(("webhook" = WebhookId, Path)),
    request_body = Body,
    responses((status = 200, description = "The webhook.", body = Shown<'static>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<WebhookId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let secret = check_secret(request.body.secret.as_deref())?;
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        check_standard(&known(&gateway, tenant, id).await?)?;
        let now = gateway.now();
        let rotated = gateway.ledger.rotate_secret(tenant, id, &secret, now.after(BOTH), now).await?;
        let webhook = rotated.ok_or_else(Problem::not_found)?;
        shown_once(StatusCode::OK, &secret, &View::new(log(&gateway).await?, webhook))
    };
    request.once(&app, tenant, Repeat::MakesAnother, work).await
}
