//! The contract of the product that Warren grew from, for programs that were written for it: they change the base URL and
//! nothing else. Off unless it is set up.
//!
//! Thin routes over what `/v1` uses: bodies, answers, codes, their order and the frames of its WebSockets are its own, what is
//! done is not. It knows one user, who acts for one tenant. What differs, and why, is in `docs/seed.md`.
//!
//! Not in the OpenAPI document: that describes Warren's own API, and these routes are served only where they are wanted.

mod body;
mod codes;
mod contacts;
mod cors;
mod envelope;
mod groups;
mod hs256;
mod instances;
mod jwt;
mod login;
mod numbers;
mod pairing;
mod phone;
mod rate;
mod send;
mod session;
mod settings;
mod sockets;
mod webhook;

pub(crate) use envelope::{Shaped, global};
pub use settings::Settings;

use crate::{problem::Problem, state::App};
use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    routing::{MethodRouter, any, delete, get, post},
};
use envelope::{Answer, Failure, bare};
use jwt::Tokens;
use login::Login;
use send::{Audience, link, text, upload};
use serde_json::json;
use session::Sender;
use std::sync::Arc;
use tokio::sync::Semaphore;
use warren_domain::TenantId;
use warren_ports::limiter::Rate;

/// What the routes work with.
struct Seed {
    app: App,
    tenant: TenantId,
    login: Login,
    tokens: Tokens,
    rate: Rate,
    /// Places for exports: each holds all contacts of an instance in memory.
    exports: Semaphore,
    open_websocket: bool,
    cors_origins: Vec<String>,
}

/// How many exports are made at once by this gateway; others wait.
const EXPORTS: usize = 2;

/// The state of the routes.
type Surface = Arc<Seed>;

/// Where a file is sent with the request: it takes as long as its sender makes progress.
const UPLOADS: [&str; 4] = [
    "/api/send/{instance}/media",
    "/api/by-number/{phone}/media-file",
    "/api/send-group/{instance}/media",
    "/api/send-group/by-number/{phone}/media",
];

/// Whether this route takes a file.
pub(crate) fn is_upload(route: &str) -> bool {
    UPLOADS.contains(&route)
}

/// Whether what this path answers has the seed's form.
pub(crate) fn owns(path: &str) -> bool {
    matches!(path, "/" | "/login-jwt" | "/ws") || path.starts_with("/api/")
}

/// Every route, if the surface is set up.
pub(crate) fn router(app: &App) -> Option<Router> {
    let settings = app.seed.as_ref()?;
    let Ok(tokens) = Tokens::new(&settings.jwt_secret) else {
        // Any secret is taken: it was checked that there is one.
        tracing::error!("the seed's surface has no usable secret and is off");
        return None;
    };
    let seed = Arc::new(Seed {
        app: app.clone(),
        tenant: settings.tenant,
        login: Login::new(&settings.username, &settings.password),
        tokens,
        rate: Rate::per_second(settings.requests_per_second, settings.burst),
        exports: Semaphore::new(EXPORTS),
        open_websocket: settings.open_websocket,
        cors_origins: settings.cors_origins.clone(),
    });
    let guarded = accounts().merge(messages()).merge(people()).merge(listening()).route("/api/{*rest}", any(nothing));
    let guarded = guarded.layer(from_fn_with_state(seed.clone(), jwt::required));
    let limited = public().merge(guarded).layer(from_fn_with_state(seed.clone(), rate::limit));
    Some(limited.layer(cors::layer(&seed.cors_origins)).with_state(seed))
}

/// Without a token; `/ws` asks for one itself.
fn public() -> Router<Surface> {
    Router::new().route("/", get(alive)).route("/login-jwt", post(login::login)).route("/ws", get(sockets::all::handler))
}

/// Instances, and linking them to an account.
fn accounts() -> Router<Surface> {
    Router::new()
        .route("/api/validate", get(login::validate))
        .route("/api/login", post(pairing::login))
        .route("/api/qr/{instance}", get(pairing::qr))
        .route("/api/qr-cancel/{instance}", delete(pairing::cancel))
        .route("/api/status/{instance}", get(instances::status))
        .route("/api/instances", get(instances::list))
        .route("/api/logout/{instance}", post(instances::logout))
        .route("/api/instances/{instance}", delete(instances::delete).patch(instances::change))
        .route("/api/instances/{instance}/webhook-setconfig", post(webhook::set))
        .route("/api/info-device/{instance}", get(instances::device))
}

/// Sending, and whom to send to.
fn messages() -> Router<Surface> {
    use Audience::{Group, Person};
    use Sender::{Instance, Number};
    Router::new()
        .route("/api/send/{instance}", texts(Instance, Person))
        .route("/api/send/{instance}/media", uploads(Instance, Person))
        .route("/api/send/{instance}/media-url", links(Instance, Person))
        .route("/api/by-number/{phone}", texts(Number, Person))
        .route("/api/by-number/{phone}/media-file", uploads(Number, Person))
        .route("/api/by-number/{phone}/media-url", links(Number, Person))
        .route("/api/send-group/{instance}", texts(Instance, Group))
        .route("/api/send-group/{instance}/media", uploads(Instance, Group))
        .route("/api/send-group/{instance}/media-url", links(Instance, Group))
        .route("/api/send-group/by-number/{phone}", texts(Number, Group))
        .route("/api/send-group/by-number/{phone}/media", uploads(Number, Group))
        .route("/api/send-group/by-number/{phone}/media-url", links(Number, Group))
        .route("/api/check/{instance}", post(numbers::check))
        .route("/api/groups/{instance}", groups_of(Instance))
        .route("/api/groups/by-number/{phone}", groups_of(Number))
}

/// Whom the account knows.
fn people() -> Router<Surface> {
    Router::new()
        .route("/api/contacts/{instance}", get(contacts::list::list))
        .route("/api/contacts/{instance}/export", get(contacts::export::export))
        .route("/api/contacts/{instance}/{jid}", get(contacts::detail::show))
}

/// One instance's messages as they come.
fn listening() -> Router<Surface> {
    Router::new().route("/api/listen/{instance}", get(sockets::listen::handler))
}

fn texts(by: fn(String) -> Sender, audience: Audience) -> MethodRouter<Surface> {
    post(move |State(seed): State<Surface>, Path(sender): Path<String>, request: Request| async move {
        text::send(&seed, &by(sender), audience, request).await
    })
}

fn uploads(by: fn(String) -> Sender, audience: Audience) -> MethodRouter<Surface> {
    post(move |State(seed): State<Surface>, Path(sender): Path<String>, request: Request| async move {
        Box::pin(upload::send(&seed, &by(sender), audience, request)).await
    })
}

fn links(by: fn(String) -> Sender, audience: Audience) -> MethodRouter<Surface> {
    post(move |State(seed): State<Surface>, Path(sender): Path<String>, request: Request| async move {
        link::send(&seed, &by(sender), audience, request).await
    })
}

fn groups_of(by: fn(String) -> Sender) -> MethodRouter<Surface> {
    get(move |State(seed): State<Surface>, Path(sender): Path<String>| async move { groups::all(&seed, &by(sender)).await })
}

/// `GET /`
async fn alive() -> Answer {
    Ok(bare(StatusCode::OK, &json!({"success": true, "message": "WhatsApp API is running", "version": "1.0.0"})))
}

/// What there is not, below `/api/`.
async fn nothing() -> Failure {
    Problem::of_status(StatusCode::NOT_FOUND).into()
}
