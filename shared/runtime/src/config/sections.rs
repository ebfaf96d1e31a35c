//! One struct a section. What a key means, its unit and its limits are written in `config.default.toml`.

use super::Secret;
use serde::{Deserialize, Deserializer, de};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use warren_domain::media::MediaLimits;

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

/// `[database]`: the ledger of a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where Postgres is, with user and password.
    #[serde(default, deserialize_with = "secret")]
    pub url: Option<Secret>,
    /// Connections of one process, besides the lanes of a worker.
    pub connections: u32,
    /// Committer lanes of a worker, a connection each.
    pub lanes: u16,
}

/// `[redis]`: leases and rates of a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Where Redis is, with user and password.
    #[serde(default, deserialize_with = "secret")]
    pub url: Option<Secret>,
}

/// `[nats]`: the bus of a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Where NATS is, with user and password.
    #[serde(default, deserialize_with = "secret")]
    pub url: Option<Secret>,
}

/// `[cluster]`: which cluster this process belongs to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Its name: every message and call between its processes carries it.
    pub id: String,
    /// What its processes prove themselves to each other with.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
    /// The coordinators, `host:port` each; the first is number 1.
    #[serde(deserialize_with = "list")]
    pub coordinators: Vec<String>,
    /// The file with the authorities that the coordinators' certificates are of; empty for plain HTTP.
    pub tls_authority: PathBuf,
}

/// `[media]`: files of messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// The folder that keeps them; empty for `media` in the data folder.
    pub folder: PathBuf,
    /// Where object storage that speaks S3 is; empty for the folder.
    pub s3_endpoint: String,
    /// The name of its bucket.
    pub s3_bucket: String,
    /// Its region.
    pub s3_region: String,
    /// The id of the access key.
    pub s3_access_key: String,
    /// The access key's secret.
    #[serde(default, deserialize_with = "secret")]
    pub s3_secret_key: Option<Secret>,
    /// How long bytes are kept, seconds.
    pub retention_s: u64,
    /// The largest picture, bytes.
    pub max_image_bytes: u64,
    /// The largest film, bytes.
    pub max_video_bytes: u64,
    /// The largest sound, bytes.
    pub max_audio_bytes: u64,
    /// The largest document, bytes.
    pub max_document_bytes: u64,
    /// The largest sticker, bytes.
    pub max_sticker_bytes: u64,
    /// The most pixels of a picture.
    pub max_pixels: u64,
    /// The most bytes of a tenant's files together.
    pub storage_bytes: u64,
}

impl Media {
    /// The limits alone.
    #[must_use]
    pub const fn limits(&self) -> MediaLimits {
        MediaLimits {
            retention_s: self.retention_s,
            max_image_bytes: self.max_image_bytes,
            max_video_bytes: self.max_video_bytes,
            max_audio_bytes: self.max_audio_bytes,
            max_document_bytes: self.max_document_bytes,
            max_sticker_bytes: self.max_sticker_bytes,
            max_pixels: self.max_pixels,
            storage_bytes: self.storage_bytes,
        }
    }
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
    /// Whether it keeps accounts, people, queues and groups over a restart.
    pub keep_state: bool,
}

/// `address:port`; `localhost` is 127.0.0.1.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_ref().unwrap_or(&text).parse();
    parsed.map_err(|_| de::Error::custom(format_args!("`{text}` is not an address and port such as 127.0.0.1:8080")))
}

/// A list, or a text with commas: what an environment variable can say.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        List(Vec<String>),
        Text(String),
    }
    let items = match Written::deserialize(deserializer)? {
        Written::List(items) => items,
        Written::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    Ok(items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

/// An empty secret is none: `${KEY:-}` in a composition file means that nobody set it.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let secret = Option::<Secret>::deserialize(deserializer)?;
    Ok(secret.filter(|secret| !secret.reveal().trim().is_empty()))
}
