//! The guard: one policy and the one HTTP client that keeps to it.

use crate::{
    Limits, Policy, Refused, Resolver, SystemResolver,
    resolver::Vetted,
    rules::{CheckedUrl, Rules},
};
use reqwest::{Certificate, Client, redirect, retry};
use rustls::crypto::CryptoProvider;
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The longest time that any policy gives a request.
const LONGEST: Duration = Duration::from_hours(24);

/// Sends requests to addresses that callers named. A clone is the same guard; one serves a whole process.
#[derive(Clone)]
pub struct Guard {
    pub(crate) rules: Arc<Rules>,
    pub(crate) client: Client,
    pub(crate) resolver: Arc<dyn Resolver>,
}

/// Why a guard cannot be made: the deployment's mistake.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The process has not chosen its cryptography (`CryptoProvider::install_default`).
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// An entry of [`Policy::own_hosts`] is neither a host name nor an IP address, or one of [`Policy::internal_names`] is
    /// not a host name.
    #[error("an own host or internal name of the egress policy is not a host name or IP address")]
    Host,
    /// The HTTP client cannot be built: the system's certificates, or [`Policy::authorities`], cannot be read.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

impl Guard {
    /// A guard that asks the system's resolver.
    ///
    /// # Errors
    ///
    /// See [`SetupError`].
    pub fn new(policy: Policy) -> Result<Self, SetupError> {
        Self::with_resolver(policy, Arc::new(SystemResolver::default()))
    }

    /// A guard that asks `resolver` for the addresses of names, and believes it as little as any.
    ///
    /// # Errors
    ///
    /// See [`SetupError`].
    pub fn with_resolver(policy: Policy, resolver: Arc<dyn Resolver>) -> Result<Self, SetupError> {
        // The client would panic without.
        if CryptoProvider::get_default().is_none() {
            return Err(SetupError::NoTlsProvider);
        }
        let rules = Arc::new(Rules::new(policy).ok_or(SetupError::Host)?);
        let client = client(&rules, Arc::clone(&resolver), None).map_err(SetupError::Client)?;
        Ok(Self { rules, client, resolver })
    }

    /// The same guard for who posts to the same places again and again: up to `idle_per_host` connections of each scheme, host
    /// and port are kept for `idle` after they were last used, and serve the next request. A kept connection still goes to the
    /// addresses that were judged when it was made, whatever its name resolves to by now; a new one is judged anew.
    ///
    /// # Errors
    ///
    /// [`SetupError::Client`].
    pub fn keeping_connections(&self, idle_per_host: usize, idle: Duration) -> Result<Self, SetupError> {
        let kept = Some(Kept { idle_per_host, idle });
        let client = client(&self.rules, Arc::clone(&self.resolver), kept).map_err(SetupError::Client)?;
        Ok(Self { client, rules: Arc::clone(&self.rules), resolver: Arc::clone(&self.resolver) })
    }

    /// Judges a URL by its shape; no packet is sent, no name is looked up. [`fetch`](Self::fetch) and [`post`](Self::post)
    /// ask this themselves; ask it before, to tell the caller at once.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn check(&self, url: &str) -> Result<CheckedUrl, Refused> {
        self.rules.check(url)
    }

    /// When a request that starts now has to be done.
    pub(crate) fn deadline(&self, limits: Limits) -> Instant {
        Instant::now() + limits.total.min(self.rules.policy.total_timeout).min(LONGEST)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("policy", &self.rules.policy).finish_non_exhaustive()
    }
}

/// Connections that outlive their request.
struct Kept {
    idle_per_host: usize,
    idle: Duration,
}

fn client(rules: &Arc<Rules>, resolver: Arc<dyn Resolver>, kept: Option<Kept>) -> Result<Client, reqwest::Error> {
    let policy = &rules.policy;
    // Where nobody says otherwise each request is judged by the addresses of its own moment: no connection outlives one.
    let kept = kept.unwrap_or(Kept { idle_per_host: 0, idle: Duration::ZERO });
    let authorities = policy.authorities.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()?;
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        .pool_max_idle_per_host(kept.idle_per_host)
        .pool_idle_timeout(kept.idle)
        .https_only(!policy.plain_http)
        .connect_timeout(policy.connect_timeout)
        .tls_certs_merge(authorities)
        .user_agent(concat!("warren/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Vetted { resolver, rules: Arc::clone(rules) })
        .build()
}

/// How a request failed before its answer.
pub(crate) enum Failure {
    /// The resolver answered an address that is not allowed.
    Refused(Refused),
    TimedOut,
    Unreachable,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(refused) = inner.downcast_ref::<Refused>() {
                return Self::Refused(*refused);
            }
            cause = inner.source();
        }
        if error.is_timeout() { Self::TimedOut } else { Self::Unreachable }
    }
}
