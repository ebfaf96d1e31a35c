//! `GET /v1/instances/{instance}`: with what its owner measures right now, if it is connected (or about to be) and its owner
//! answers at once.

use crate::{auth::Reader, openapi::Problems, parameters::Id, problem::Result, state::App, v1::instances::View};
use axum::{Json, extract::State};
use std::time::Duration;
use warren_domain::{Health, Instance, InstanceId};
use warren_ports::bus::{Action, Command, Reply};

/// The owner is asked for its figures, not waited for.
const MEASURED_WITHIN: Duration = Duration::from_millis(250);

/// Read an instance, with what is measured of it right now.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}",
    tag = "instances",
    operation_id = "readInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 200, description = "The instance.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, Id(id): Id<InstanceId>) -> Result<Json<View>> {
    let mut instance = app.instance(caller.tenant, id).await?;
    if instance.state.reconnects() {
        measure(&app, &mut instance).await;
    }
    Ok(Json(instance.into()))
}

/// The stored verdict can be behind: an owner that waits for the store cannot store that it waits.
async fn measure(app: &App, instance: &mut Instance) {
    let command = Command { tenant: instance.tenant, instance: instance.id, action: Action::Health };
    if let Ok(Reply::Health(measured)) = app.bus.request(app.shard(instance.id), command, MEASURED_WITHIN).await {
        instance.health = Health {
            status: measured.status,
            reason: measured.reason,
            last_stanza_at: measured.last_stanza_at.or(instance.health.last_stanza_at),
            rtt_ms: measured.rtt_ms.or(instance.health.rtt_ms),
        };
    }
}
