//! `DELETE /v1/instances/{instance}` -> 204. Its open messages end as `failed`, its owner unlinks it at WhatsApp.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use std::time::Duration;
use warren_domain::{InstanceId, TenantId};
use warren_ports::bus::{Action, Command};

/// How long the owner is tried for. It finds out by itself when it next loads the instance.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// Delete an instance.
///
/// Its open messages end as `failed`, and it is unlinked at WhatsApp.
#[utoipa::path(
    delete,
    path = "/v1/instances/{instance}",
    tag = "instances",
    operation_id = "deleteInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 204, description = "It is gone."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        remove(gateway, tenant, id).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

/// Deletes the tenant's instance, or says that there is none; its owner is told meanwhile.
pub(crate) async fn remove(app: App, tenant: TenantId, id: InstanceId) -> Result<()> {
    if !app.ledger.delete_instance(tenant, id).await? {
        return Err(Problem::not_found());
    }
    tell_the_owner(app, tenant, id);
    Ok(())
}

fn tell_the_owner(app: App, tenant: TenantId, instance: InstanceId) {
    let stopping = app.lifecycle.soft_token();
    app.lifecycle.clone().spawn(async move {
        let command = Command { tenant, instance, action: Action::Deleted };
        tokio::select! {
            told = app.bus.request(app.shard(instance), command, TOLD_WITHIN) => {
                if told.is_err() {
                    tracing::warn!("the owner of a deleted instance was not told");
                }
            }
            () = stopping.cancelled() => {}
        }
    });
}
