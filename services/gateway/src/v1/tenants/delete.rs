//! `DELETE /v1/tenants/{tenant}` -> 204; 409 `tenant_not_empty` while it has instances.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::TenantId;

/// Delete a tenant that has no instances, with its keys.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    operation_id = "deleteTenant",
    params(("tenant" = TenantId, Path)),
    responses((status = 204, description = "It is gone."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    _: Admin,
    Id(id): Id<TenantId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let gateway = app.clone();
    let work = move |_, _| async move {
        if !gateway.ledger.delete_tenant(id).await? {
            return Err(Problem::not_found());
        }
        gateway.authentication.forget_tenant(id).await;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, OPERATOR, Repeat::Harmless, work).await
}
