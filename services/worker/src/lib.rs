//! The worker: owns shards, runs one WhatsApp client for each instance in them, sends what their queues hold and is the
//! only writer of their events.
//!
//! Start reading at [`run`], then `shards` (taking and dropping shards), `registry` (the
//! running instances), `instance` (the actor of one instance),
//! `client` (one client object of the library), `session` (its storage over the ledger), `transport` (its way out),
//! `outbound` (the queue and what is decided about each row), `media` (the files of messages) and `ask` (what callers ask of
//! WhatsApp).

mod admission;
mod ask;
mod beat;
mod client;
mod instance;
mod media;
mod metrics;
mod numbers;
mod options;
pub mod outbound;
mod owner;
mod registry;
mod renewal;
pub mod sealing;
mod session;
mod shards;
mod shared;
mod tasks;
mod transport;
mod upkeep;

pub use options::{MediaFetch, Options, Pacing};

use sealing::MasterKey;
use shared::Shared;
use std::sync::Arc;
use tokio::runtime::Handle;
use warren_domain::{Error, Result, ShardCount, media::MediaLimits, network::Network, time::Clock};
use warren_egress::Guard;
use warren_ports::{
    bus::Bus,
    lease::{Incarnation, Leases},
    ledger::OwnerLedger,
    objects::Objects,
    placement::Placement,
};
use warren_runtime::{Lifecycle, Metrics};

/// What the worker needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// The ledger.
    pub ledger: Arc<dyn OwnerLedger>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The bytes of files.
    pub objects: Arc<dyn Objects>,
    /// How large files may be, and how long they are kept.
    pub limits: MediaLimits,
    /// What asks the addresses that callers named.
    pub egress: Guard,
    /// Where it proves that it lives; opened on [`Ports::apart`].
    pub leases: Arc<dyn Leases>,
    /// The thread on which the lease is renewed, however busy the worker is.
    pub apart: Handle,
    /// This start of the worker, as the placement knows it too.
    pub incarnation: Incarnation,
    /// Which shards it owns.
    pub placement: Arc<dyn Placement>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where its metrics are registered.
    pub metrics: Metrics,
    /// What wraps the data keys of sessions.
    pub master_key: MasterKey,
    /// Whom it connects to.
    pub endpoint: Endpoint,
    /// How many shards there are.
    pub shard_count: ShardCount,
}

/// The WhatsApp side.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `wss://web.whatsapp.com/ws/chat`, or a simulator's `ws://` or `wss://` address.
    pub url: String,
    /// The authority that signs a simulator's certificates, PEM; without one the public roots count.
    pub authority: Option<String>,
    /// Which network that is. A pinned simulator key is used for nothing but a simulator.
    pub network: Network,
}

/// WhatsApp's own address.
pub const WHATSAPP_URL: &str = wacore::net::WHATSAPP_WEB_WS_URL;

impl Endpoint {
    /// WhatsApp.
    #[must_use]
    pub fn whatsapp() -> Self {
        Self { url: WHATSAPP_URL.to_owned(), authority: None, network: Network::Whatsapp }
    }

    fn simulator_key(&self) -> Option<[u8; 32]> {
        match &self.network {
            Network::Simulator { static_key } => Some(*static_key),
            Network::Whatsapp => None,
        }
    }

    /// A pinned key together with WhatsApp's own hosts would make whoever holds that key WhatsApp.
    fn check(&self) -> Result<()> {
        let host = self.url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let is_whatsapp = host == "whatsapp.com"
            || host.ends_with(".whatsapp.com")
            || host == "whatsapp.net"
            || host.ends_with(".whatsapp.net");
        if self.authority.is_some() && self.network == Network::Whatsapp {
            return Err(Error::invalid(
                "foreign_authority",
                "WhatsApp's certificates are checked against the public roots.",
            ));
        }
        match (&self.network, is_whatsapp) {
            (Network::Simulator { .. }, true) => Err(Error::invalid(
                "pinned_key_on_whatsapp",
                "A simulator's key must never be used with a WhatsApp host; point the worker at the simulator.",
            )),
            (Network::Whatsapp, false) => Err(Error::invalid(
                "not_whatsapp",
                "Without a simulator's key the worker connects to WhatsApp's own hosts only.",
            )),
            _ => Ok(()),
        }
    }
}

/// Runs a worker until the lifecycle stops it: then it finishes what is under way, flushes, disconnects and gives its
/// shards up.
///
/// # Errors
/// `Invalid` for settings or an endpoint that make no sense; nothing was started then.
pub async fn run(options: Options, ports: Ports, lifecycle: Lifecycle) -> Result<()> {
    options.validate().map_err(|message| Error::invalid("invalid_settings", message))?;
    ports.endpoint.check()?;
    client::time::keep_steady();
    let shared = Shared::new(options, ports)?;
    let clock = renewal::start(&shared, &lifecycle);
    upkeep::start(&shared, &lifecycle);
    shards::Shards::new(shared, clock).run(&lifecycle).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_key_and_a_whatsapp_host_exclude_each_other() {
        let simulator = Network::Simulator { static_key: [1; 32] };
        let endpoint = |url: &str, network: &Network| Endpoint { url: url.into(), authority: None, network: *network };
        assert!(endpoint("ws://127.0.0.1:8090/ws/chat", &simulator).check().is_ok());
        assert!(Endpoint::whatsapp().check().is_ok());
        assert!(Endpoint { authority: Some("PEM".into()), ..Endpoint::whatsapp() }.check().is_err());
        assert!(endpoint("wss://web.whatsapp.com/ws/chat", &simulator).check().is_err());
        assert!(endpoint("wss://web.whatsapp.com:443/ws", &simulator).check().is_err());
        assert!(endpoint("ws://127.0.0.1:8090/ws/chat", &Network::Whatsapp).check().is_err());
    }
}
