//! `POST /v1/tenants` `{name, limits?}` -> 201 with the tenant.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::check_name,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use warren_domain::{MessageId, Tenant, TenantId, tenant::Limits};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    name: String,
    #[serde(default)]
    limits: Limits,
}

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
