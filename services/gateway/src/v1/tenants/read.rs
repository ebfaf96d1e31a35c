//! `GET /v1/tenants/{tenant}`

use crate::{
    auth::Admin,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{Json, extract::State};
use warren_domain::{Tenant, TenantId};

/// Read a tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "readTenant",
    params(("tenant" = TenantId, Path)),
    responses((status = 200, description = "The tenant.", body = Tenant), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, _: Admin, Id(id): Id<TenantId>) -> Result<Json<Tenant>> {
    app.ledger.tenant(id).await?.map(Json).ok_or_else(Problem::not_found)
}
