//! Settings: the documented defaults <- `warren.toml` or `--config` <- the environment <- the command line; each later one
//! wins, an unknown key is an error.
//!
//! The sections of the services are types of the services: [`Config`] takes them as parameters, so that no service depends
//! on how settings are read, and this crate on no service.

mod names;
mod secret;
mod sections;
mod sources;
mod validate;

pub use secret::Secret;
pub use sections::{Admin, Egress, Log, Server, Shutdown, Simulator, Store};
pub use sources::Sources;

use serde::{Deserialize, de::DeserializeOwned};

/// The default settings as a documented file.
pub const DEFAULT: &str = include_str!("../config.default.toml");

/// A setting is wrong: one line that names it, without the value of any secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// All settings of one process. `Gateway` and `Worker` are those services' own options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config<Gateway, Worker> {
    /// The public API.
    pub server: Server,
    /// Metrics, health in detail, the admin key.
    pub admin: Admin,
    /// What is kept, and how.
    pub store: Store,
    /// What callers may have fetched or called.
    pub egress: Egress,
    /// How a stop goes.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
    /// The sandbox.
    pub simulator: Simulator,
    /// The gateway's options.
    pub gateway: Gateway,
    /// The worker's options.
    pub worker: Worker,
}

/// Settings as they were read.
#[derive(Debug, Clone)]
pub struct Loaded<Gateway, Worker> {
    /// The settings, validated.
    pub config: Config<Gateway, Worker>,
    /// The same as TOML text, with secrets hidden.
    pub effective: String,
    /// What looks like a mistake and is not refused: one line each, to be logged.
    pub warnings: Vec<String>,
}

/// Reads and validates the settings.
///
/// # Errors
/// One line that names the first wrong setting.
pub fn load<G: DeserializeOwned, W: DeserializeOwned>(sources: &Sources) -> Result<Loaded<G, W>, Error> {
    let merged = sources::merge(sources)?;
    let config: Config<G, W> = merged.figment.extract().map_err(sources::line)?;
    config.validate()?;
    let effective = sources::redacted(&merged.figment)?;
    Ok(Loaded { config, effective, warnings: merged.warnings })
}
