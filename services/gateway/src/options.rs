//! What an operator can set.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use warren_domain::ShardCount;

/// Limits and times of the gateway. Every value has a default that is right for most deployments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many shards the deployment has; must be what its store was made with. Default 1024.
    pub shard_count: ShardCount,
    /// How many open (`queued` or `handed`) messages an instance may have. Default 10,000.
    pub queue_limit: u32,
    /// How many instances a tenant without a limit of its own may have. Default 10,000.
    pub instance_limit: u32,
    /// How many requests a second a tenant without a limit of its own may make, at all gateways together; as many may come at
    /// once. 0 is any number. Default 0.
    pub requests_per_second: u32,
    /// How many numbers WhatsApp may be asked about through one instance on a day (UTC); what is answered from what is known
    /// does not count. An account that asks for many is soon banned. Default 1,000.
    pub number_checks_per_instance: u32,
    /// The same, through all instances of a tenant. Default 50,000.
    pub number_checks_per_tenant: u32,
    /// The largest request body, bytes. Default 1 MiB.
    pub body_limit_bytes: usize,
    /// How many connections are served at once; more wait in the listener's backlog. Default 20,000.
    pub connections: usize,
    /// How many requests are worked on at once; more are answered 503. Default 20,000.
    pub requests: usize,
    /// How many WebSockets are open at once. Default 20,000.
    pub websockets: usize,
    /// How many WebSockets one tenant may have open here. Default 1,000.
    pub websockets_per_tenant: usize,
    /// How many uploads are under way at once; more are answered 429. Default 64.
    pub uploads: usize,
    /// How many uploads one tenant may have under way here. Default 8.
    pub uploads_per_tenant: usize,
    /// How many downloads are under way at once; more are answered 429. Default 512.
    pub downloads: usize,
    /// How many downloads one tenant may have under way here. Default 64.
    pub downloads_per_tenant: usize,
    /// How many wrong keys one address may present a minute; further ones are answered 429. Beyond ten times as many, keys
    /// from there are no longer looked up in the store, and only those are taken that were used in the last 30 s: raise it
    /// where many callers come from one address. Default 20.
    pub wrong_keys_per_minute: u32,
    /// Origins (`https://app.example.com`) whose pages may open a WebSocket, besides the gateway's own; `*` for any.
    /// Default none. Clients that are no browsers send no origin and are not asked for one.
    pub allowed_origins: Vec<String>,
    /// How long a client may take to send a request's headers, and how long an idle connection is kept. Default 30 s.
    pub header_timeout_ms: u64,
    /// How long a client may take to send a request's body. Default 30 s.
    pub body_timeout_ms: u64,
    /// How long any request may take. Default 60 s.
    pub request_timeout_ms: u64,
    /// How long a download waits for a file that is still to be fetched from WhatsApp; then it is answered 503, and the
    /// fetch goes on. Shorter than `request_timeout_ms`. Default 45 s.
    pub media_fetch_timeout_ms: u64,
    /// How long the owner of an instance is waited for: a failover inside this looks like a slow request. Default 8 s.
    pub owner_timeout_ms: u64,
    /// How long a request waits for another one with the same `Idempotency-Key`. Default 15 s.
    pub in_flight_timeout_ms: u64,
    /// How long one write to a WebSocket may make no progress before the client counts as slow. Default 10 s.
    pub slow_client_ms: u64,
    /// How often a WebSocket is pinged; two pings without an answer close it. Default 25 s.
    pub ping_ms: u64,
    /// How often a filtered stream is told its cursor. Default 15 s.
    pub cursor_ms: u64,
    /// How often the key of an open WebSocket is checked. With the 30 s that a key may be remembered, a revoked one is
    /// cut off within a minute. Default 25 s.
    pub revocation_ms: u64,
    /// How often the log is read without a ring. Default 1 s.
    pub sweep_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shard_count: ShardCount::default(),
            queue_limit: 10_000,
            instance_limit: 10_000,
            requests_per_second: 0,
            number_checks_per_instance: 1_000,
            number_checks_per_tenant: 50_000,
            body_limit_bytes: 1024 * 1024,
            connections: 20_000,
            requests: 20_000,
            websockets: 20_000,
            websockets_per_tenant: 1_000,
            uploads: 64,
            uploads_per_tenant: 8,
            downloads: 512,
            downloads_per_tenant: 64,
            wrong_keys_per_minute: 20,
            allowed_origins: Vec::new(),
            header_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            media_fetch_timeout_ms: 45_000,
            owner_timeout_ms: 8_000,
            in_flight_timeout_ms: 15_000,
            slow_client_ms: 10_000,
            ping_ms: 25_000,
            cursor_ms: 15_000,
            revocation_ms: 25_000,
            sweep_ms: 1_000,
        }
    }
}

/// Options that make no sense; the text names the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("gateway.{0} must be larger than 0")]
pub struct InvalidOptions(&'static str);

impl Options {
    /// Checks what single values cannot say.
    ///
    /// # Errors
    /// Names the first option that makes no sense.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let times = [
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("media_fetch_timeout_ms", self.media_fetch_timeout_ms),
            ("owner_timeout_ms", self.owner_timeout_ms),
            ("in_flight_timeout_ms", self.in_flight_timeout_ms),
            ("slow_client_ms", self.slow_client_ms),
            ("ping_ms", self.ping_ms),
            ("cursor_ms", self.cursor_ms),
            ("revocation_ms", self.revocation_ms),
            ("sweep_ms", self.sweep_ms),
        ];
        let sizes = [
            ("body_limit_bytes", self.body_limit_bytes),
            ("connections", self.connections),
            ("requests", self.requests),
            ("websockets", self.websockets),
            ("websockets_per_tenant", self.websockets_per_tenant),
            ("uploads", self.uploads),
            ("uploads_per_tenant", self.uploads_per_tenant),
            ("downloads", self.downloads),
            ("downloads_per_tenant", self.downloads_per_tenant),
        ];
        for (name, value) in times {
            if value == 0 {
                return Err(InvalidOptions(name));
            }
        }
        for (name, value) in sizes {
            if value == 0 {
                return Err(InvalidOptions(name));
            }
        }
        if self.wrong_keys_per_minute == 0 {
            return Err(InvalidOptions("wrong_keys_per_minute"));
        }
        Ok(())
    }

    pub(crate) const fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(crate) const fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) const fn media_fetch_timeout(&self) -> Duration {
        Duration::from_millis(self.media_fetch_timeout_ms)
    }

    pub(crate) const fn owner_timeout(&self) -> Duration {
        Duration::from_millis(self.owner_timeout_ms)
    }

    pub(crate) const fn in_flight_timeout(&self) -> Duration {
        Duration::from_millis(self.in_flight_timeout_ms)
    }

    pub(crate) const fn slow_client(&self) -> Duration {
        Duration::from_millis(self.slow_client_ms)
    }

    pub(crate) const fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_ms)
    }

    pub(crate) const fn cursor_interval(&self) -> Duration {
        Duration::from_millis(self.cursor_ms)
    }

    pub(crate) const fn revocation_interval(&self) -> Duration {
        Duration::from_millis(self.revocation_ms)
    }

    pub(crate) const fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_zero() {
        assert_eq!(Options::default().validate(), Ok(()));
        let options = Options { ping_ms: 0, ..Options::default() };
        assert_eq!(options.validate(), Err(InvalidOptions("ping_ms")));
    }
}
