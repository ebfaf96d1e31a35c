//! One struct a section. What a key means, its unit and its limits are written in `config.default.toml`.

use super::Secret;
use serde::{Deserialize, Deserializer, de};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

/// `[server]`: the public API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where it listens.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Whether plain HTTP may be offered to other machines.
    pub allow_plaintext: bool,
}

/// `[admin]`: metrics, health in detail, and the admin key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Whether plain HTTP may be offered to other machines.
    pub allow_plaintext: bool,
    /// The admin key; its strength is judged by who uses it.
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<Secret>,
}

/// `[store]`: what standalone keeps, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The folder.
    pub data_dir: PathBuf,
    /// How many shards a new store gets.
    pub shard_count: NonZeroU16,
    /// How many threads read.
    pub readers: usize,
    /// The key that seals session keys at rest.
    #[serde(default, deserialize_with = "secret")]
    pub sealing_key: Option<Secret>,
}

/// `[egress]`: what callers may have fetched or called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Whether `http://` is allowed besides `https://`.
    pub allow_http: bool,
    /// The ports that may be connected to.
    pub ports: Vec<u16>,
    /// Networks that are allowed besides the public ones.
    pub networks: Vec<String>,
    /// Internal names that are allowed.
    pub internal_names: Vec<String>,
    /// Names and addresses under which this deployment itself is reached.
    pub own_hosts: Vec<String>,
}

/// `[shutdown]`: how a stop goes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long it waits, seconds.
    pub grace_seconds: u32,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `target=level` pairs.
    pub filter: String,
    /// The form of a line.
    pub format: crate::log::Format,
}

/// `[simulator]`: the sandbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulator {
    /// Where it listens.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

/// `address:port`; `localhost` is 127.0.0.1.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_ref().unwrap_or(&text).parse();
    parsed.map_err(|_| de::Error::custom(format_args!("`{text}` is not an address and port such as 127.0.0.1:8080")))
}

/// An empty secret is none: `${KEY:-}` in a composition file means that nobody set it.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let secret = Option::<Secret>::deserialize(deserializer)?;
    Ok(secret.filter(|secret| !secret.reveal().trim().is_empty()))
}
