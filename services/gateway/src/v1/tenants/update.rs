//! `PATCH /v1/tenants/{tenant}` `{name?, limits?}` -> 200 with the tenant. Limits are replaced as a whole.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::check_name,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::{Tenant, TenantId, tenant::Limits};
use warren_ports::ledger::TenantPatch;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantChange, examples(json!({"name": "Acme Ltd"})))]
pub(crate) struct Body {
    /// A name for people.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: Option<String>,
    limits: Option<Limits>,
}

/// Change a tenant. Limits are replaced as a whole.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "updateTenant",
    params(("tenant" = TenantId, Path)),
    request_body = Body,
    responses((status = 200, description = "The tenant.", body = Tenant), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    _: Admin,
    Id(id): Id<TenantId>,
    request: Mutation<Body>,
) -> Result<Response> {
    if let Some(name) = &request.body.name {
        check_name("name", name)?;
    }
    let gateway = app.clone();
    let work = move |body: Body, _| async move {
        let patch = TenantPatch { name: body.name, limits: body.limits };
        let tenant = gateway.ledger.update_tenant(id, patch).await?.ok_or_else(Problem::not_found)?;
        gateway.rates.forget(id).await;
        Answer::json(StatusCode::OK, &tenant)
    };
    request.once(&app, OPERATOR, Repeat::Harmless, work).await
}
