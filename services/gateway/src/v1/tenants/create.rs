//! `POST /v1/tenants` `{name, limits?}` -> 201 with the tenant.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::check_name,
    openapi::Problems,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::{MessageId, Tenant, TenantId, tenant::Limits};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTenant, examples(json!({"name": "Acme", "limits": {"instances": 100}})))]
pub(crate) struct Body {
    /// A name for people.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    #[serde(default)]
    limits: Limits,
}

/// Create a tenant.
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "tenants",
    operation_id = "createTenant",
    request_body = Body,
    responses((status = 201, description = "The tenant.", body = Tenant), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, _: Admin, request: Mutation<Body>) -> Result<Response> {
    check_name("name", &request.body.name)?;
    let work = {
        let app = app.clone();
        |body, id| create(app, body, id)
    };
    request.once(&app, OPERATOR, Repeat::MakesAnother, work).await
}

async fn create(app: App, body: Body, id: MessageId) -> Result<Answer> {
    let id = TenantId::from_bytes(*id.as_bytes());
    let tenant = Tenant { id, name: body.name, limits: body.limits, created_at: app.now() };
    app.ledger.create_tenant(&tenant).await?;
    // Whoever took over an abandoned reservation finds the first one's.
    let tenant = app.ledger.tenant(id).await?.ok_or_else(|| Problem::internal("a created tenant is not there"))?;
    Ok(Answer::json(StatusCode::CREATED, &tenant)?.at(format!("/v1/tenants/{id}")))
}
