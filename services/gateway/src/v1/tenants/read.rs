//! `GET /v1/tenants/{tenant}`

use crate::{
    auth::Admin,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{Json, extract::State};
use warren_domain::{Tenant, TenantId};

pub(crate) async fn handler(State(app): State<App>, _: Admin, Id(id): Id<TenantId>) -> Result<Json<Tenant>> {
    app.ledger.tenant(id).await?.map(Json).ok_or_else(Problem::not_found)
}
