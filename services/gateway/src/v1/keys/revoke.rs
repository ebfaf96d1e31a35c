//! `DELETE /v1/tenants/{tenant}/keys/{key}` -> 204. Here the key is refused at once, on every other gateway within 30 s.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Ids,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::{KeyId, TenantId};

/// Revoke a key.
///
/// Here it is refused at once, everywhere else within 30 s.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/keys/{key}",
    tag = "keys",
    operation_id = "revokeKey",
    params(("tenant" = TenantId, Path), ("key" = KeyId, Path)),
    responses((status = 204, description = "It is refused from now on."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    _: Admin,
    Ids(tenant, key): Ids<TenantId, KeyId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let gateway = app.clone();
    let work = move |_, _| async move {
        if !gateway.ledger.revoke_key(tenant, key, gateway.now()).await? {
            return Err(Problem::not_found());
        }
        gateway.authentication.forget_key(key).await;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, OPERATOR, Repeat::Harmless, work).await
}
