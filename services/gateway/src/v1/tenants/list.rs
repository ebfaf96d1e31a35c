//! `GET /v1/tenants` `?limit=&cursor=`

use crate::{auth::Admin, parameters::Parameters, problem::Result, state::App, v1};
use axum::{extract::State, response::Response};
use warren_domain::Tenant;

pub(crate) async fn handler(State(app): State<App>, _: Admin, mut query: Parameters) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let after = query.parsed("cursor", |text| text.parse().ok())?;
    query.finish()?;
    let tenants = app.ledger.tenants(after, limit + 1).await?;
    Ok(v1::Page::cut(tenants, limit, |tenant: &Tenant| tenant.id.to_string(), |tenant| tenant))
}
