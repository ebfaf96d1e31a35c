//! `GET /v1/webhooks/{webhook}`

use super::{View, known, log};
use crate::{auth::Reader, openapi::Problems, parameters::Id, problem::Result, state::App};
use axum::{Json, extract::State};
use warren_domain::WebhookId;

/// Read a webhook, with how it stands.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "readWebhook",
    params(("webhook" = WebhookId, Path)),
    responses((status = 200, description = "The webhook.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, Id(id): Id<WebhookId>) -> Result<Json<View>> {
    let webhook = known(&app, caller.tenant, id).await?;
    Ok(Json(View::new(log(&app).await?, webhook)))
}
