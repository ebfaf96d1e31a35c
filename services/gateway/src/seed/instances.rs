//! Instances as the seed shows them: all of them, one's status and device, logging out, deleting, and the fields of its later
//! revision that can be changed.

use super::{
    Seed, Surface, body,
    codes::Code,
    envelope::{Answer, Failure, coded, success},
    session::{self, Needs, able, jid, number, session},
};
use crate::{json::check_metadata, problem::Problem, v1::instances::delete::remove};
use axum::{
    extract::{Path, Query, Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;
use warren_domain::{Instance, InstanceState, Timestamp};
use warren_ports::{
    bus::Action,
    ledger::{InstanceFilter, InstancePatch},
};

/// In an instance's metadata: the label of its group (`kelompok`).
pub(super) const CIRCLE: &str = "circle";
/// The same: whether it is in use, and a note.
const USED: &str = "used";
const NOTE: &str = "keterangan";
/// How many instances are read at once.
const STRETCH: u32 = 1_000;
/// How a time is written that there is not.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// How often it is looked whether an instance is logged out.
const LOOKS: std::ops::Range<Duration> = Duration::from_millis(20)..Duration::from_millis(500);

/// An instance as it is shown. What is not known is zero, empty or the year 1, as in the seed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    id: u64,
    instance_id: String,
    phone_number: String,
    jid: String,
    status: &'static str,
    is_connected: bool,
    name: String,
    profile_picture: &'static str,
    about: &'static str,
    platform: &'static str,
    battery_level: u8,
    battery_charging: bool,
    qr_code: &'static str,
    qr_expires_at: &'static str,
    created_at: String,
    connected_at: String,
    disconnected_at: String,
    last_seen: String,
    exists_in_whatsmeow: bool,
    circle: String,
    used: bool,
    keterangan: String,
}

impl From<&Instance> for View {
    fn from(instance: &Instance) -> Self {
        let is_connected = instance.state == InstanceState::Online;
        let was_linked = instance.account.is_some();
        let since = |holds: bool| if holds { instance.since.to_string() } else { NEVER.to_owned() };
        let push_name = instance.account.as_ref().and_then(|account| account.push_name.clone());
        let text = |key| instance.metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            id: serial(instance),
            instance_id: instance.id.to_string(),
            phone_number: number(instance).to_owned(),
            jid: jid(instance).to_owned(),
            status: status_of(instance.state),
            is_connected,
            name: push_name.or_else(|| instance.name.clone()).unwrap_or_default(),
            profile_picture: "",
            about: "",
            platform: "",
            battery_level: 0,
            battery_charging: false,
            qr_code: "",
            qr_expires_at: NEVER,
            created_at: instance.created_at.to_string(),
            connected_at: since(is_connected),
            disconnected_at: since(was_linked && !is_connected),
            last_seen: instance.health.last_stanza_at.as_ref().map_or_else(|| NEVER.to_owned(), Timestamp::to_string),
            exists_in_whatsmeow: was_linked && instance.state != InstanceState::LoggedOut,
            circle: text(CIRCLE),
            used: instance.metadata.get(USED).and_then(Value::as_bool).unwrap_or(true),
            keterangan: text(NOTE),
        }
    }
}

/// A number that grows with the time of making and that JavaScript holds exactly: the seed's ids are a database's serials.
fn serial(instance: &Instance) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(instance.id.as_bytes().split_at(8).0);
    let first = u64::from_be_bytes(first);
    // Of a UUIDv7: 48 bits of milliseconds, 4 of the version, 12 that tell those of one millisecond apart.
    let (millis, rest) = (first >> 16, first & 0xfff);
    ((millis << 12) | rest) & ((1 << 53) - 1)
}

/// A state by the name that the seed has for it.
pub(super) const fn status_of(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Created | InstanceState::Pairing => "qr_required",
        InstanceState::Online => "online",
        InstanceState::LoggedOut => "logged_out",
        InstanceState::Connecting | InstanceState::Disconnected | InstanceState::Restricted | InstanceState::Quarantined => {
            "disconnected"
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Choice {
    all: Option<String>,
}

/// `GET /api/instances[?all=true]`
pub(super) async fn list(State(seed): State<Surface>, Query(choice): Query<Choice>) -> Answer {
    let state = (choice.all.as_deref() != Some("true")).then_some(InstanceState::Online);
    let filter = InstanceFilter { state, ..InstanceFilter::default() };
    let views = views(&seed, &filter).await.map_err(|problem| {
        let body = json!({"success": false, "message": "Failed to get instances", "error": problem.detail()});
        Failure::odd(StatusCode::INTERNAL_SERVER_ERROR, body).caused(problem)
    })?;
    let instances = if views.is_empty() { Value::Null } else { json!(views) };
    success("Instances retrieved", json!({"total": views.len(), "instances": instances}))
}

async fn views(seed: &Seed, filter: &InstanceFilter) -> Result<Vec<View>, Problem> {
    let (mut views, mut after) = (Vec::new(), None);
    // A tenant has no more instances than its limit.
    loop {
        let instances = seed.app.ledger.instances(seed.tenant, filter, after, STRETCH).await?;
        views.extend(instances.iter().map(View::from));
        match instances.last() {
            Some(last) if instances.len() >= STRETCH as usize => after = Some(last.id),
            _ => return Ok(views),
        }
    }
}

/// `GET /api/status/{instance}`
pub(super) async fn status(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let instance = session(&seed, &id).await?;
    let is_connected = instance.state == InstanceState::Online;
    success("Status retrieved", json!({"instanceId": instance.id, "isConnected": is_connected, "jid": jid(&instance)}))
}

/// `GET /api/info-device/{instance}`
pub(super) async fn device(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let instance = able(session(&seed, &id).await?, Needs::LoggedIn)?;
    let data = json!({"instanceId": instance.id, "jid": jid(&instance), "phoneNumber": number(&instance)});
    success("Device info retrieved", data)
}

/// `POST /api/logout/{instance}`: answered once it is done, as callers delete the instance next.
pub(super) async fn logout(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let instance = session(&seed, &id).await?;
    match seed.app.ask(seed.tenant, instance.id, Action::Logout).await {
        Ok(_) => {}
        Err(problem) if problem.code() == "not_paired" => return Err(Code::SessionNotFound.into()),
        Err(problem) => return Err(coded(Code::LogoutFailed)(problem)),
    }
    logged_out(&seed, &instance).await?;
    success("Logged out successfully", json!({"instanceId": instance.id}))
}

/// Waits until the instance is logged out, as its owner has promised.
async fn logged_out(seed: &Seed, instance: &Instance) -> Result<(), Failure> {
    let deadline = Instant::now() + seed.app.options.owner_timeout();
    let mut pause = LOOKS.start;
    loop {
        let now = seed.app.ledger.instance(seed.tenant, instance.id).await.map_err(Problem::from)?;
        if now.is_none_or(|now| now.state == InstanceState::LoggedOut) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::from(Code::LogoutFailed).details("It is under way; look at the instance again."));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS.end);
    }
}

/// `DELETE /api/instances/{instance}`
pub(super) async fn delete(State(seed): State<Surface>, Path(id): Path<String>) -> Answer {
    let found = session::instance(&seed, &id).await?;
    let instance = found.ok_or(Code::InstanceNotFound)?;
    if instance.state == InstanceState::Online {
        return Err(Code::InstanceStillConnected.into());
    }
    match remove(seed.app.clone(), seed.tenant, instance.id).await {
        Ok(()) => success("Instance deleted successfully", json!({"instanceId": instance.id})),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Err(Code::InstanceNotFound.into()),
        Err(problem) => Err(coded(Code::DeleteInstanceFailed)(problem)),
    }
}

#[derive(Deserialize)]
struct Change {
    used: Option<bool>,
    keterangan: Option<String>,
    circle: Option<String>,
}

impl Change {
    fn into_members(self) -> Map<String, Value> {
        let members = [
            (USED, self.used.map(Value::Bool)),
            (NOTE, self.keterangan.map(Value::String)),
            (CIRCLE, self.circle.map(Value::String)),
        ];
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// `PATCH /api/instances/{instance}` `{used?, keterangan?, circle?}`: kept in the instance's metadata.
pub(super) async fn change(State(seed): State<Surface>, Path(id): Path<String>, request: Request) -> Answer {
    let change: Change = body::read(&seed.app, request, Code::InvalidRequest).await?;
    let members = change.into_members();
    if members.is_empty() {
        return Err(Code::NoFields.into());
    }
    let instance = session::instance(&seed, &id).await?.ok_or(Code::InstanceNotFound)?;
    let mut metadata = instance.metadata;
    metadata.extend(members);
    check_metadata(&metadata).map_err(coded(Code::InvalidRequest))?;
    let patch = InstancePatch { metadata: Some(metadata), ..InstancePatch::default() };
    let changed = seed.app.ledger.update_instance(seed.tenant, instance.id, patch).await;
    let changed = changed.map_err(|error| coded(Code::UpdateFailed)(error.into()))?.ok_or(Code::InstanceNotFound)?;
    success("Instance updated successfully", json!(View::from(&changed)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use warren_domain::InstanceId;

    #[test]
    fn what_is_not_known_is_zero_and_every_field_is_there() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let instance = Instance {
            id: InstanceId::generate(),
            metadata: Map::from_iter([(CIRCLE.to_owned(), json!("sales"))]),
            since: at,
            created_at: at,
            ..session::tests::in_state(InstanceState::Created)
        };
        let view = json!(View::from(&instance));
        let expected = json!({
            "id": serial(&instance), "instanceId": instance.id, "phoneNumber": "", "jid": "", "status": "qr_required",
            "isConnected": false, "name": "", "profilePicture": "", "about": "", "platform": "", "batteryLevel": 0,
            "batteryCharging": false, "qrCode": "", "qrExpiresAt": NEVER, "createdAt": "2026-09-21T14:13:20.000Z",
            "connectedAt": NEVER, "disconnectedAt": NEVER, "lastSeen": NEVER, "existsInWhatsmeow": false, "circle": "sales",
            "used": true, "keterangan": "",
        });
        assert_eq!(view, expected);
        assert!(serial(&instance) > 0 && serial(&instance) < 1 << 53);
        let later = Instance { id: InstanceId::generate(), ..instance.clone() };
        assert!(serial(&later) >= serial(&instance));
    }

    #[test]
    fn only_what_is_given_is_changed() {
        let change: Change = crate::json::parse(br#"{"used": false, "circle": "b", "unknown": 1}"#).unwrap();
        assert_eq!(Value::Object(change.into_members()), json!({"used": false, "circle": "b"}));
        let nothing: Change = crate::json::parse(b"{}").unwrap();
        assert!(nothing.into_members().is_empty());
    }
}
