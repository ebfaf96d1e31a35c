//! Under which name clients reach the media host: the port is the simulator's own, the scheme always `https`.

use std::net::{IpAddr, SocketAddr};

/// The names of the media host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// What `Options::media_host` says, for everybody.
    configured: Option<String>,
    /// The listening address, for whoever did not say how it reached us.
    local: String,
}

impl Host {
    pub(crate) fn new(configured: Option<String>, local: SocketAddr) -> Self {
        let local = if local.ip().is_unspecified() {
            let loopback: IpAddr = if local.is_ipv6() { [0, 0, 0, 0, 0, 0, 0, 1].into() } else { [127, 0, 0, 1].into() };
            SocketAddr::new(loopback, local.port())
        } else {
            local
        };
        Self { configured, local: local.to_string() }
    }

    #[cfg(test)]
    pub(crate) fn fixed(name: &str) -> Self {
        Self { configured: Some(name.to_owned()), local: String::new() }
    }

    /// For a client that reached us under this name (a `Host` header): the same name leads back.
    pub(crate) fn for_client(&self, reached: Option<&str>) -> String {
        let reached = reached.filter(|name| plausible(name));
        self.configured.as_deref().or(reached).unwrap_or(&self.local).to_owned()
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn plausible(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    (1..=253).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_the_way_they_came() {
        let host = Host::new(None, "0.0.0.0:8080".parse().unwrap());
        assert_eq!(host.for_client(Some("sim.test:8080")), "sim.test:8080");
        assert_eq!(host.for_client(Some("a/b")), "127.0.0.1:8080");
        assert_eq!(host.for_client(None), "127.0.0.1:8080");
        let host = Host::new(Some("media.test".into()), "[::]:1".parse().unwrap());
        assert_eq!(host.for_client(Some("sim.test")), "media.test");
    }
}
