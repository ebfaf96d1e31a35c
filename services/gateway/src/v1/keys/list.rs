//! `GET /v1/tenants/{tenant}/keys`: all of them, at most 1,000.

use crate::{
    auth::Admin,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::{Page, keys::View},
};
use axum::{Json, extract::State};
use warren_domain::TenantId;

/// List the keys of a tenant: all of them, at most 1,000.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/keys",
    tag = "keys",
    operation_id = "listKeys",
    params(("tenant" = TenantId, Path)),
    responses((status = 200, description = "The keys.", body = Page<View>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    _: Admin,
    Id(tenant): Id<TenantId>,
) -> Result<Json<impl serde::Serialize>> {
    app.ledger.tenant(tenant).await?.ok_or_else(Problem::not_found)?;
    let data: Vec<View> = app.ledger.keys(tenant).await?.into_iter().map(View::from).collect();
    Ok(Json(Page { data, next_cursor: None }))
}
