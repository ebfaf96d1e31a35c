//! The edge in: REST and WebSocket to clients, authentication, limits.
//!
//! A gateway holds nothing that a second one would miss, so that any gateway answers any request for any instance, and one
//! can die between two bytes. It reads the ledger, accepts messages into it, rings the bell of the owner, and never writes
//! an event. [`run`] serves a listener; the routes are in the `router` module, one file an endpoint below `v1`.

mod admin_key;
mod auth;
mod docs;
mod idempotency;
mod json;
mod openapi;
mod options;
mod parameters;
mod problem;
mod quota;
mod request;
mod router;
mod seed;
mod server;
mod state;
mod stream;
mod telemetry;
mod v1;

pub use admin_key::{AdminKey, WeakAdminKey};
pub use options::{InvalidOptions, Options};
pub use seed::Settings as SeedSettings;
pub use server::{Error, run};
pub use state::Ports;
pub use v1::media::LinkKey;

/// The description of the API (OpenAPI 3.1) as `GET /openapi.json` serves it and as it is committed: made from the routes of
/// this build, the same text every time.
#[must_use]
pub fn openapi() -> &'static str {
    openapi::text()
}
