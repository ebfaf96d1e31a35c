//! What an operator can set.

use crate::{evidence::Timing, tls::Tls};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use warren_domain::ShardCount;
use warren_raft::{Credential, wire::NodeId};

/// Settings of a coordinator, with their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where it listens to the other coordinators and to workers: address and port. Default 127.0.0.1:7000.
    pub listen: SocketAddr,
    /// Whether plain HTTP may be spoken on an address that other machines can reach: calls are signed, but can be read on the
    /// way. Says nothing once TLS is set. Default false.
    pub allow_plaintext: bool,
    /// The file with its certificate chain in PEM, its own certificate first. With it the port speaks TLS and nothing else.
    /// Default none.
    pub tls_certificate: PathBuf,
    /// The file with the key of that certificate, in PEM. Default none.
    pub tls_key: PathBuf,
    /// How long the lease of a worker lasts, milliseconds: what the workers have. A new leader, and a lease store that forgot
    /// something, wait for as long before a missing lease means anything. Default 3,000.
    pub lease_ttl_ms: u64,
    /// How often a worker renews it, milliseconds: what the workers have. A worker whose stream ended and who misses one renewal
    /// is dead. Default 500.
    pub lease_renewal_ms: u64,
    /// How often a worker hears that the leader is there, milliseconds: 10 to 10,000. Default 250.
    pub heartbeat_ms: u64,
    /// How many shards are moved at once when a worker comes or stops, at least 1. A stop that would take more than 30 batches
    /// takes larger ones. Default 8.
    pub move_batch: usize,
    /// The pause between a batch that was taken over and the next one, milliseconds. Default 50.
    pub move_pause_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)),
            allow_plaintext: false,
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            lease_ttl_ms: 3_000,
            lease_renewal_ms: 500,
            heartbeat_ms: 250,
            move_batch: 8,
            move_pause_ms: 50,
        }
    }
}

/// Options that make no sense: one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOptions(pub(crate) String);

impl Options {
    /// Checks what single values cannot say.
    ///
    /// # Errors
    /// Names the first option that makes no sense.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let checks = [
            (
                self.lease_renewal_ms > 0 && self.lease_ttl_ms >= 4 * self.lease_renewal_ms,
                "coordinator.lease_ttl_ms must be at least four times coordinator.lease_renewal_ms",
            ),
            ((10..=10_000).contains(&self.heartbeat_ms), "coordinator.heartbeat_ms must be within 10 and 10000"),
            (self.move_batch > 0, "coordinator.move_batch must be at least 1"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, text)) => Err(InvalidOptions(text.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether it may listen there, with TLS or without.
    pub(crate) fn allows(&self, address: SocketAddr, has_tls: bool) -> Result<(), InvalidOptions> {
        if has_tls || self.allow_plaintext || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(InvalidOptions(format!(
            "coordinator.listen: {address} can be reached by other machines and speaks plain HTTP; \
             set coordinator.tls_certificate, coordinator.tls_key and cluster.tls_authority, or coordinator.allow_plaintext = \
             true if the network between the machines is trusted, or listen on 127.0.0.1"
        )))
    }

    pub(crate) const fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) const fn move_pause(&self) -> Duration {
        Duration::from_millis(self.move_pause_ms)
    }

    pub(crate) const fn timing(&self) -> Timing {
        let period = Duration::from_millis(self.lease_renewal_ms);
        Timing {
            ttl: Duration::from_millis(self.lease_ttl_ms),
            period,
            slack: Duration::from_millis(self.lease_renewal_ms / 4),
        }
    }
}

/// Which coordinator of which group this is.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The cluster, and the secret that its processes share.
    pub credential: Credential,
    /// Its number: its place in `coordinators`, the first is 1.
    pub node: NodeId,
    /// The group, `host:port` each: 1, 3 or 5, everywhere in the same order.
    pub coordinators: Vec<String>,
    /// The folder that it keeps its file in. Private to it.
    pub data_folder: PathBuf,
    /// How many shards the cluster has. Fixed when it is made; another count is refused.
    pub shard_count: ShardCount,
    /// What it speaks TLS with, to whoever calls it and to the others; `None` for plain HTTP.
    pub tls: Option<Tls>,
}

impl Seat {
    pub(crate) fn validate(&self) -> Result<(), InvalidOptions> {
        let size = self.coordinators.len();
        if !matches!(size, 1 | 3 | 5) {
            return Err(InvalidOptions("cluster.coordinators must name 1, 3 or 5 of them".to_owned()));
        }
        if !(1..=size as u64).contains(&self.node) {
            return Err(InvalidOptions(format!("there is no coordinator {} among {size}; the first is 1", self.node)));
        }
        Ok(())
    }

    pub(crate) fn peers(&self) -> BTreeMap<NodeId, String> {
        (1..).zip(self.coordinators.iter().cloned()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_makes_no_sense() {
        let options = Options::default();
        assert_eq!(options.validate(), Ok(()));
        assert!(Options { lease_ttl_ms: 1_000, ..Options::default() }.validate().is_err());
        assert!(Options { move_batch: 0, ..Options::default() }.validate().is_err());
        let everywhere = "0.0.0.0:7000".parse().unwrap();
        assert!(options.allows("127.0.0.1:7000".parse().unwrap(), false).is_ok());
        let refused = options.allows(everywhere, false).unwrap_err().to_string();
        assert!(refused.contains("allow_plaintext") && !refused.contains('\n'), "{refused}");
        assert!(options.allows(everywhere, true).is_ok());
        assert!(Options { allow_plaintext: true, ..options }.allows(everywhere, false).is_ok());
    }

    #[test]
    fn a_seat_is_one_of_its_group() {
        let seat = |node, size| Seat {
            credential: Credential::new("c", "s"),
            node,
            coordinators: vec!["h:7000".to_owned(); size],
            data_folder: PathBuf::new(),
            shard_count: ShardCount::default(),
            tls: None,
        };
        assert!(seat(3, 3).validate().is_ok() && seat(1, 1).validate().is_ok());
        for (node, size) in [(0, 3), (4, 3), (1, 2), (1, 0)] {
            assert!(seat(node, size).validate().is_err(), "{node} of {size}");
        }
    }
}
