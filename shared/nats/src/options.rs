//! How a process connects to the bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use warren_domain::time::{Clock, SystemClock};

/// How a process connects to the bus. Printed without its secrets.
#[derive(Clone)]
pub struct Options {
    /// Where NATS is: `nats://user:password@host:port`, `nats://token@host:port`, `tls://...` for TLS by the machine's
    /// certificates; several servers are divided by commas.
    pub url: String,
    /// The name of the cluster: letters, digits and hyphens. Several can share a NATS server.
    pub cluster: String,
    /// What the cluster's processes prove themselves to each other with.
    pub secret: String,
    /// What this process is among them: letters, digits and hyphens, such as `gateway-1`. Its answers come to
    /// `_INBOX_<service>.>`.
    pub service: String,
    /// How long connecting may take.
    pub within: Duration,
    /// The time of day, by which the age of frames is judged.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// With the machine's clock and five seconds to connect.
    #[must_use]
    pub fn new(url: &str, cluster: &str, secret: &str, service: &str) -> Self {
        Self {
            url: url.to_owned(),
            cluster: cluster.to_owned(),
            secret: secret.to_owned(),
            service: service.to_owned(),
            within: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, service, within, .. } = self;
        f.debug_struct("Options")
            .field("cluster", cluster)
            .field("service", service)
            .field("within", within)
            .finish_non_exhaustive()
    }
}
