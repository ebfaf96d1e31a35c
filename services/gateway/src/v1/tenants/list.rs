//! `GET /v1/tenants` `?limit=&cursor=`

use crate::{
    auth::Admin,
    openapi::{Paging, Problems},
    parameters::Parameters,
    problem::Result,
    state::App,
    v1,
};
use axum::{extract::State, response::Response};
use warren_domain::Tenant;

/// List the tenants, oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    operation_id = "listTenants",
    params(Paging),
    responses((status = 200, description = "A page of tenants.", body = v1::Page<Tenant>), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, _: Admin, mut query: Parameters) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let after = query.parsed("cursor", |text| text.parse().ok())?;
    query.finish()?;
    let tenants = app.ledger.tenants(after, limit + 1).await?;
    Ok(v1::Page::cut(tenants, limit, |tenant: &Tenant| tenant.id.to_string(), |tenant| tenant))
}
