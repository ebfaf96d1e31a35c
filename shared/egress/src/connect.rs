//! Connections to hosts that callers named, where what is spoken is no HTTP: proxies.

use crate::{Guard, Refused, rules::Rules};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How many of a name's addresses are tried.
const ADDRESSES_TRIED: usize = 4;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host is not one that may be connected to.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name is unknown, or nobody answers at its addresses.
    #[error("the host cannot be reached")]
    Unreachable(#[source] io::Error),
    /// It took too long.
    #[error("the host took too long to answer")]
    TimedOut,
}

impl Guard {
    /// Judges a host, a name or an IP address (IPv6 without brackets), by its shape; no name is looked up. The policy's list of
    /// ports is for URLs and does not count here.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn check_host(&self, host: &str) -> Result<(), Refused> {
        self.rules.check_host(host)
    }

    /// Connects to a host. All addresses that its name has at this moment must be allowed, and the connection goes to one of
    /// them. Takes `within` at most, or the policy's own time to connect.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect(&self, host: &str, port: u16, within: Duration) -> Result<TcpStream, ConnectError> {
        self.check_host(host)?;
        let deadline = Instant::now() + within.min(self.rules.policy.connect_timeout);
        let connecting = async {
            let addresses = self.addresses(host).await?;
            let mut failure = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses.into_iter().take(ADDRESSES_TRIED) {
                match TcpStream::connect(SocketAddr::new(address, port)).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => failure = error,
                }
            }
            Err(ConnectError::Unreachable(failure))
        };
        timeout_at(deadline, connecting).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// The addresses of a host, all of them judged.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let found = match Rules::literal(host) {
            Some(address) => vec![address],
            None => self.resolver.resolve(host).await.map_err(ConnectError::Unreachable)?,
        };
        for address in &found {
            self.rules.check_address(*address)?;
        }
        Ok(found)
    }
}
