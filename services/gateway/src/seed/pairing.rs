//! `POST /api/login` makes an instance; `GET /api/qr/{instance}` begins its pairing, whose codes come over the WebSockets;
//! `DELETE /api/qr-cancel/{instance}` ends it.

use super::{
    Seed, Surface,
    body::{self, given},
    codes::Code,
    envelope::{Answer, Failure, coded, success},
    instances::CIRCLE,
    session::{self, jid},
};
use crate::{
    json::check_metadata,
    problem::Problem,
    v1::instances::create::{fresh, store},
};
use axum::extract::{Path, Request, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use warren_domain::{ErrorKind, Instance, InstanceId, InstanceState};
use warren_ports::bus::Action;

/// The longest label of a group, characters: a column of the seed's.
const LABEL: usize = 255;

#[derive(Deserialize)]
struct Body {
    kelompok: Option<String>,
}

/// A new instance each time, to be paired next.
pub(super) async fn login(State(seed): State<Surface>, request: Request) -> Answer {
    let body: Body = body::read(&seed.app, request, Code::BadRequest).await?;
    let label = given(body.kelompok).ok_or(Code::KelompokRequired)?;
    let metadata = Map::from_iter([(CIRCLE.to_owned(), Value::String(label.clone()))]);
    check_metadata(&metadata).map_err(coded(Code::BadRequest))?;
    if label.chars().count() > LABEL {
        return Err(Failure::from(Code::BadRequest).details("A label has at most 255 characters."));
    }
    let made = store(&seed.app, fresh(&seed.app, seed.tenant, InstanceId::generate(), metadata)).await;
    let instance = made.map_err(|problem| match problem.kind() {
        ErrorKind::Exhausted | ErrorKind::NotFound => coded(Code::CreateSessionRefused)(problem),
        _ => coded(Code::DbInsertFailed)(problem),
    })?;
    let data = json!({
        "instanceId": instance.id, "status": "qr_required", "nextStep": "Call GET /qr/:instanceId to get QR code",
    });
    success("Instance created, QR code required", data)
}

/// Begins a pairing. An id that there is not becomes an instance's, as in the seed.
pub(super) async fn qr(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let instance = match session::instance(&seed, &id).await? {
        Some(instance) => instance,
        None => made(&seed, &id).await?,
    };
    match seed.app.ask(seed.tenant, instance.id, Action::PairByQr).await {
        Ok(_) => {
            let data = json!({
                "status": "generating",
                "message": "QR codes will be sent via WebSocket. Listen to QR_GENERATED event.",
                "instance_id": instance.id,
                "timeout": "3 minutes",
            });
            success("QR generation started", data)
        }
        Err(problem) if problem.code() == "pairing_in_progress" => Err(Code::QrInProgress.into()),
        Err(problem) if problem.code() == "already_paired" => connected(&seed, &instance).await,
        Err(problem) => Err(coded(Code::CreateSessionFailed)(problem)),
    }
}

async fn made(seed: &Seed, id: &str) -> Result<Instance, Failure> {
    let wrong = || Failure::from(Code::CreateSessionFailed).details("An instance id is 32 hex digits.");
    let id: InstanceId = id.parse().map_err(|_| wrong())?;
    let made = store(&seed.app, fresh(&seed.app, seed.tenant, id, Map::new())).await;
    made.map_err(coded(Code::CreateSessionFailed))
}

/// A linked account needs no code. One that stays away is asked to come back.
async fn connected(seed: &Seed, instance: &Instance) -> Answer {
    if matches!(instance.state, InstanceState::Disconnected | InstanceState::Quarantined) {
        let asked = seed.app.ask(seed.tenant, instance.id, Action::Connect).await;
        asked.map_err(coded(Code::ConnectFailed))?;
    }
    let now = seed.app.instance(seed.tenant, instance.id).await.map_err(coded(Code::CreateSessionFailed))?;
    success("Already connected", json!({"status": "already_connected", "jid": jid(&now)}))
}

/// Ends a pairing.
pub(super) async fn cancel(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let instance = session::instance(&seed, &id).await?.ok_or(Code::NoQrSession)?;
    let not_pairing = |problem: &Problem| matches!(problem.kind(), ErrorKind::Conflict | ErrorKind::NotFound);
    match seed.app.ask(seed.tenant, instance.id, Action::CancelPairing).await {
        Ok(_) => success("QR generation cancelled successfully", json!({"instance_id": instance.id, "status": "cancelled"})),
        Err(problem) if not_pairing(&problem) => Err(Code::NoQrSession.into()),
        Err(problem) => Err(problem.into()),
    }
}
