//! Settings: the documented defaults <- `warren.toml` or `--config` <- the environment <- the command line; each later one
//! wins, an unknown key is an error.
//!
//! The sections of the services are types of the services: [`Services`] names them, so that no service depends on how settings
//! are read, and this crate on no service.

mod names;
mod secret;
mod sections;
mod seed;
mod sources;
mod validate;

pub use secret::Secret;
pub use sections::{Admin, Cluster, Database, Egress, Log, Media, Nats, Redis, Server, Shutdown, Simulator, Store};
pub use seed::{Credentials, Seed};
pub use sources::Sources;

use serde::{Deserialize, de::DeserializeOwned};
use std::fmt::Debug;

/// The default settings as a documented file.
pub const DEFAULT: &str = include_str!("../config.default.toml");

/// A setting is wrong: one line that names it, without the value of any secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// The services' own options, a section each.
pub trait Services: Debug + Clone {
    /// `[gateway]`.
    type Gateway: DeserializeOwned + Debug + Clone;
    /// `[worker]`.
    type Worker: DeserializeOwned + Debug + Clone;
    /// `[dispatcher]`.
    type Dispatcher: DeserializeOwned + Debug + Clone;
    /// `[coordinator]`.
    type Coordinator: DeserializeOwned + Debug + Clone;
}

/// All settings of one process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Config<S: Services> {
    /// The public API.
    pub server: Server,
    /// Metrics, health in detail, the admin key.
    pub admin: Admin,
    /// What is kept, and how.
    pub store: Store,
    /// The ledger of a cluster.
    pub database: Database,
    /// Leases and rates of a cluster.
    pub redis: Redis,
    /// The bus of a cluster.
    pub nats: Nats,
    /// Which cluster this process belongs to.
    pub cluster: Cluster,
    /// Files of messages.
    pub media: Media,
    /// What callers may have fetched or called.
    pub egress: Egress,
    /// How a stop goes.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
    /// The sandbox.
    pub simulator: Simulator,
    /// The contract of the product that Warren grew from.
    pub seed: Seed,
    /// The gateway's options.
    pub gateway: S::Gateway,
    /// The worker's options.
    pub worker: S::Worker,
    /// The dispatcher's options.
    pub dispatcher: S::Dispatcher,
    /// The coordinator's options.
    pub coordinator: S::Coordinator,
}

/// Settings as they were read.
#[derive(Debug, Clone)]
pub struct Loaded<S: Services> {
    /// The settings, validated.
    pub config: Config<S>,
    /// The same as TOML text, with secrets hidden.
    pub effective: String,
    /// What looks like a mistake and is not refused: one line each, to be logged.
    pub warnings: Vec<String>,
}

/// Reads and validates the settings.
///
/// # Errors
/// One line that names the first wrong setting.
pub fn load<S: Services>(sources: &Sources) -> Result<Loaded<S>, Error> {
    let merged = sources::merge(sources)?;
    let config: Config<S> = merged.figment.extract().map_err(sources::line)?;
    config.validate()?;
    let effective = sources::redacted(&merged.figment)?;
    Ok(Loaded { config, effective, warnings: merged.warnings })
}
