//! `DELETE /v1/webhooks/{webhook}` -> 204. Its dead letters and its log of attempts go with it.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::WebhookId;

/// Delete a webhook, with its dead letters and its log of attempts.
///
/// Within a few seconds nothing is posted any more.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "deleteWebhook",
    params(("webhook" = WebhookId, Path)),
    responses((status = 204, description = "It is gone."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<WebhookId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        if !gateway.ledger.delete_webhook(tenant, id).await? {
            return Err(Problem::not_found());
        }
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
