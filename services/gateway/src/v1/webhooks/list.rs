//! `GET /v1/webhooks` `?limit=&cursor=`: oldest first.

use super::{View, log};
use crate::{
    auth::Reader,
    openapi::{Paging, Problems},
    parameters::Parameters,
    problem::Result,
    state::App,
    v1,
};
use axum::{extract::State, response::Response};
use warren_domain::Webhook;

/// List the webhooks, oldest first.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "listWebhooks",
    params(Paging),
    responses((status = 200, description = "A page of webhooks.", body = v1::Page<View>), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, mut query: Parameters) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let after = query.parsed("cursor", |text| text.parse().ok())?;
    query.finish()?;
    let log = log(&app).await?;
    let webhooks = app.ledger.webhooks(caller.tenant, after, limit + 1).await?;
    Ok(v1::Page::cut(webhooks, limit, |webhook: &Webhook| webhook.id.to_string(), |webhook| View::new(log, webhook)))
}
