//! From a name to addresses that may be connected to.

use crate::rules::Rules;
use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{net::lookup_host, sync::Semaphore};

/// How many look-ups of the system's resolver may run at once. Each holds a thread, for as long as the system waits.
const LOOKUPS: usize = 64;

/// How many of a name's addresses are tried.
const ADDRESSES_TRIED: usize = 8;

/// A source of addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of the name, by what is known now.
    ///
    /// # Errors
    ///
    /// If the name is unknown, or who knows it cannot be asked.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver. At most 64 look-ups of one `SystemResolver` run at once; the others wait.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        // A task of its own: a look-up whose request gave up still holds its thread, and so has to keep its permit.
        let lookup = tokio::spawn(async move {
            let _held_to_the_end = permit;
            let found = lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

/// What the HTTP client asks for addresses, once a connection: it answers those that may be connected to, or none.
pub(crate) struct Vetted {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) rules: Arc<Rules>,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, rules) = (Arc::clone(&self.resolver), Arc::clone(&self.rules));
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            // One address that is not allowed spoils them all: the name belongs to whoever tries that.
            for address in &found {
                rules.check_address(*address)?;
            }
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let addresses: Addrs =
                Box::new(found.into_iter().take(ADDRESSES_TRIED).map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
