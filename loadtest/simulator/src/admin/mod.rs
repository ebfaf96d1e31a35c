//! The admin API: what a person with a phone, or a fault, would do. Unauthenticated: bind the simulator to addresses
//! that only testers reach.

mod accounts;
mod calls;
mod groups;
mod media;
mod pairing;
mod people;
pub(crate) mod scripts;
mod send;
mod signs;
mod trouble;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::account::Account;
use crate::address;
use crate::world::World;

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// The table of contents of the admin API.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/admin/health", get(health))
        .route("/admin/trust", get(trust))
        .route("/admin/stats", get(stats))
        .route("/admin/scripts", get(scripts::list).post(scripts::start))
        .route("/admin/scripts/{id}", delete(scripts::stop))
        .route("/admin/trouble", get(trouble::show_all).post(trouble::for_all))
        .route("/admin/mock-phone/scan-qr", post(pairing::scan))
        .route("/admin/mock-phone/enter-code", post(pairing::enter_code))
        .route("/admin/media", get(media::list))
        .route("/admin/media/trouble", get(media::faults).post(media::change).delete(media::clear))
        .route("/admin/people", get(people::list).post(people::create))
        .route("/admin/people/{phone}", patch(people::change))
        .route("/admin/people/{phone}/send", post(send::send).layer(DefaultBodyLimit::max(send::BODY_LIMIT)))
        .route("/admin/people/{phone}/chat-state", post(signs::chat_state))
        .route("/admin/people/{phone}/chat-states", get(signs::noted).delete(signs::forget))
        .route("/admin/people/{phone}/presence", post(signs::presence))
        .route("/admin/people/{phone}/profile", get(signs::profile).patch(signs::change_profile))
        .route("/admin/people/{phone}/read", post(people::read))
        .route("/admin/people/{phone}/block", post(people::block))
        .route("/admin/people/{phone}/forget-sessions", post(people::forget_sessions))
        .route("/admin/people/{phone}/inbox", get(people::inbox).delete(people::clear_inbox))
        .route("/admin/groups", get(groups::list).post(groups::create))
        .route("/admin/groups/{id}", get(groups::show).post(groups::change))
        .route("/admin/calls", get(calls::list))
        .route("/admin/people/{phone}/call", post(calls::dial))
        .route("/admin/people/{phone}/hang-up", post(calls::hang_up))
        .route("/admin/accounts", get(accounts::list).post(accounts::link))
        .route("/admin/gaps", get(accounts::gaps))
        .route("/admin/accounts/{phone}/ground-truth", get(accounts::ground_truth))
        .route("/admin/accounts/{phone}/drop", post(trouble::drop_connections))
        .route("/admin/accounts/{phone}/stream-error", post(trouble::stream_error))
        .route("/admin/accounts/{phone}/unlink", post(trouble::unlink))
        .route("/admin/accounts/{phone}/failure", post(trouble::failure))
        .route("/admin/accounts/{phone}/poison", post(trouble::poison))
        .route("/admin/accounts/{phone}/trouble", get(trouble::show).post(trouble::for_account))
        .fallback(|| async { Error::new(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the path exists, the method does not")
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(world)
}

/// An error answer: a stable code and a sentence for people.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Error {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    pub(super) fn no_account() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_account", "nobody here has this phone number")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"code": self.code, "detail": self.detail}))).into_response()
    }
}

impl From<crate::directory::Full> for Error {
    fn from(full: crate::directory::Full) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", full.to_string())
    }
}

pub(super) type Result<T> = std::result::Result<T, Error>;

/// Reads a JSON body; an empty one is `{}`.
pub(super) fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(error.to_string()))
}

/// A phone number that a request may name.
pub(super) fn named_phone(text: Option<&str>) -> Result<Option<u64>> {
    text.map(phone_number).transpose()
}

fn phone_number(text: &str) -> Result<u64> {
    address::parse_phone(text).ok_or_else(|| Error::invalid("not a phone number"))
}

/// The account of a path's phone number.
pub(super) fn find(world: &World, phone: &str) -> Result<Arc<Account>> {
    let phone = phone_number(phone)?;
    world.directory.by_phone(phone).ok_or_else(Error::no_account)
}

async fn health(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"status": "ok", "accounts": world.directory.len()}))
}

async fn trust(State(world): State<Arc<World>>) -> Json<Value> {
    let trust = &world.keys.trust;
    Json(json!({
        "static_public_key": hex::encode(trust.static_public_key),
        "root_public_key": hex::encode(trust.root_public_key),
        "tls_ca_pem": trust.tls_ca_pem,
    }))
}

async fn stats(State(world): State<Arc<World>>) -> Json<Value> {
    let mut counters = json!(world.counters.read());
    if let Some(object) = counters.as_object_mut() {
        object.insert("accounts".to_owned(), json!(world.directory.len()));
        object.insert("groups".to_owned(), json!(world.groups.len()));
        object.insert("pairing_refs".to_owned(), json!(world.pairings().len()));
    }
    Json(counters)
}
