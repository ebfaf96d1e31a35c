//! A port that stays ours while its server is down.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

/// Below the ports that the system gives to outgoing connections: one of those could hold the port of a server that is down.
const RANGE: std::ops::Range<u16> = 10_000..32_000;
/// Ports that are tried.
const TRIES: u32 = 1_000;

/// A port of 127.0.0.1 that no other test takes, also while nobody listens on it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// A name in Linux's abstract namespace says that it is taken; the system frees it with the process.
    _claim: UnixListener,
}

impl Port {
    /// Takes one that nobody listens on.
    ///
    /// # Errors
    /// None is free.
    pub fn take() -> Result<Self> {
        let free = (0..TRIES).find_map(|_| {
            let number = rand::random_range(RANGE);
            let claim = claim(number).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            Some(Self { number, _claim: claim })
        });
        free.context("no free port on 127.0.0.1")
    }

    /// Takes this one.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn claim(number: u16) -> Result<Self> {
        let claim = claim(number).with_context(|| format!("port {number} is taken"))?;
        Ok(Self { number, _claim: claim })
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The address of who listens there.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

fn claim(number: u16) -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&UnixAddress::from_abstract_name(format!("warren-test-port-{number}"))?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once_until_it_is_given_back() {
        let port = Port::take().unwrap();
        assert!(claim(port.number()).is_err());
        let number = port.number();
        drop(port);
        let again = Port::claim(number).unwrap();
        assert!(again.number() == number && Port::claim(number).is_err());
    }
}
