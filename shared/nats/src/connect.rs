//! Connecting to NATS, and saying in one line why it does not work.

use crate::bus::{Bus, Parts, Signals};
use crate::envelope::{Envelopes, Id};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::subjects::Subjects;
use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Between two pings on a silent connection. The third that is not answered ends it: a server that is gone without a word is
/// noticed after 1.5 s.
const PING: Duration = Duration::from_millis(500);
/// For one attempt to connect again.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The longest pause between two attempts; the first ones follow each other sooner.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What may wait to be sent: 16 times what a worker needs to take every shard.
const SENDING: usize = 32_768;
/// What may wait to be heard, of one subscription. Beyond that it is dropped, and listeners hear that they missed something.
const HEARING: usize = 8_192;

/// Why there is no bus. One line, without a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error("the URL of NATS is not like nats://user:password@host:4222 (tls:// for TLS)")]
    Url,
    /// The cluster's name, or the service's, cannot be part of a subject.
    #[error("the {what} `{name}` is not made of letters, digits and hyphens, 1 to 64 of them")]
    Name {
        /// What is named.
        what: &'static str,
        /// How.
        name: String,
    },
    /// The server says no.
    #[error("NATS at {place} refuses the user, password or token")]
    Refused {
        /// Host and port.
        place: String,
    },
    /// The server does not answer in time.
    #[error("NATS at {place} does not answer within {} s", within.as_secs_f64())]
    Silent {
        /// Host and port.
        place: String,
        /// How long was waited.
        within: Duration,
    },
    /// It cannot be reached.
    #[error("NATS at {place} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// As the system or the TLS library says it.
        reason: String,
    },
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The version of the server.
    pub server: String,
    /// A message to it and back.
    pub round_trip: Duration,
}

/// Connects to NATS, and stays connected until the bus is closed.
///
/// # Errors
/// [`ConnectError`] when the options are wrong, or NATS is not there within the time that they give.
pub async fn connect(options: &Options, metrics: Metrics) -> Result<Bus, ConnectError> {
    let server = Server::of(options)?;
    match timeout(options.within, server.connect(options, metrics)).await {
        Ok(bus) => bus,
        Err(_) => Err(server.silent(options)),
    }
}

/// Whether NATS is there and passes messages on, for `warren doctor`.
///
/// # Errors
/// As [`connect`].
pub async fn check(options: &Options) -> Result<Checked, ConnectError> {
    let server = Server::of(options)?;
    let metrics = Metrics::new().map_err(|error| server.unreachable(&error.to_string()))?;
    let bus = connect(options, metrics).await?;
    let round_trip = bus.round_trip().await.ok_or_else(|| server.silent(options))?;
    let checked = Checked { server: bus.server(), round_trip };
    bus.close().await;
    Ok(checked)
}

/// The servers of a URL, and how to be let in.
struct Server {
    addresses: Vec<ServerAddr>,
    user: Option<(String, Option<String>)>,
    place: String,
}

impl Server {
    fn of(options: &Options) -> Result<Self, ConnectError> {
        for (what, name) in [("cluster", &options.cluster), ("service", &options.service)] {
            let is_fine = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if name.is_empty() || name.len() > 64 || !is_fine(name) {
                return Err(ConnectError::Name { what, name: name.clone() });
            }
        }
        let urls = options.url.split(',').map(str::trim).filter(|url| !url.is_empty());
        let addresses = urls.map(str::parse::<ServerAddr>).collect::<Result<Vec<_>, _>>().map_err(|_| ConnectError::Url)?;
        if addresses.is_empty() || addresses.iter().any(|address| address.host().is_empty() || address.is_websocket()) {
            return Err(ConnectError::Url);
        }
        let text = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| ConnectError::Url);
        let named = addresses.iter().find_map(|address| Some((address.username()?, address.password())));
        let user = match named {
            Some((user, password)) => Some((text(user)?, password.map(text).transpose()?)),
            None => None,
        };
        let places = addresses.iter().map(|address| format!("{}:{}", address.host(), address.port()));
        let place = places.collect::<Vec<_>>().join(", ");
        Ok(Self { addresses, user, place })
    }

    async fn connect(&self, options: &Options, metrics: Metrics) -> Result<Bus, ConnectError> {
        // Whichever provider a dependency brings, TLS is ring's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let signals = Arc::new(Signals::default());
        let settings = self.settings(options, Arc::clone(&signals));
        let client = settings.connect(&self.addresses[..]).await.map_err(|error| self.why(&error, options))?;
        let envelopes = Envelopes::new(&options.cluster, options.secret.as_bytes());
        let envelopes = envelopes.ok_or_else(|| ConnectError::Name { what: "cluster", name: options.cluster.clone() })?;
        let subjects = Subjects::new(&options.cluster, &options.service, rand::random::<Id>());
        let parts = Parts { client, subjects, envelopes, clock: Arc::clone(&options.clock), metrics, signals };
        let bus = Bus::over(parts).await.map_err(|error| self.unreachable(&error.to_string()))?;
        if bus.is_up().await { Ok(bus) } else { Err(self.unreachable("it does not pass messages on")) }
    }

    fn settings(&self, options: &Options, signals: Arc<Signals>) -> ConnectOptions {
        let settings = ConnectOptions::new()
            .name(format!("warren {}", options.service))
            .custom_inbox_prefix(format!("_INBOX_{}", options.service))
            .ping_interval(PING)
            .connection_timeout(ATTEMPT)
            .client_capacity(SENDING)
            .subscription_capacity(HEARING)
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                signals.tell(&event);
                std::future::ready(())
            });
        match &self.user {
            Some((user, Some(password))) => settings.user_and_password(user.clone(), password.clone()),
            Some((token, None)) => settings.token(token.clone()),
            None => settings,
        }
    }

    fn why(&self, error: &async_nats::ConnectError, options: &Options) -> ConnectError {
        match error.kind() {
            ConnectErrorKind::ServerParse => ConnectError::Url,
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ConnectError::Refused { place: self.place.clone() }
            }
            ConnectErrorKind::TimedOut => self.silent(options),
            _ => self.unreachable(&error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        }
    }

    fn unreachable(&self, reason: &str) -> ConnectError {
        ConnectError::Unreachable { place: self.place.clone(), reason: reason.to_owned() }
    }

    fn silent(&self, options: &Options) -> ConnectError {
        ConnectError::Silent { place: self.place.clone(), within: options.within }
    }
}

/// Before an attempt to connect: none before the first, then longer each time, and never for all processes the same.
fn pause(attempts: usize) -> Duration {
    let Some(again) = u32::try_from(attempts).ok().and_then(|attempts| attempts.checked_sub(2)) else {
        return Duration::ZERO;
    };
    let longest = Duration::from_millis(25).saturating_mul(1 << again.min(8)).min(LONGEST_PAUSE);
    longest.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options::new(url, "main", "a secret of the cluster, long enough", "gateway-1")
    }

    #[test]
    fn reads_urls() {
        let server = Server::of(&options("nats://us%40er:p%3Ass@one:4222, tls://two")).unwrap();
        assert_eq!(server.user, Some(("us@er".to_owned(), Some("p:ss".to_owned()))));
        assert_eq!(server.place, "one:4222, two:4222");
        assert_eq!(Server::of(&options("nats://token@one")).unwrap().user, Some(("token".to_owned(), None)));
        assert_eq!(Server::of(&options("one")).unwrap().user, None);
    }

    #[test]
    fn refuses_what_is_no_url_or_name() {
        for url in ["", "http://one", "nats://", "nats://one:port", "ws://one", "nats://%ff@one"] {
            assert!(matches!(Server::of(&options(url)), Err(ConnectError::Url)), "{url}");
        }
        for name in ["", "a.b", "a b", "*", ">", &"a".repeat(65)] {
            let options = Options { cluster: name.to_owned(), ..options("one") };
            assert!(matches!(Server::of(&options), Err(ConnectError::Name { what: "cluster", .. })), "{name}");
        }
    }

    #[test]
    fn attempts_come_soon_and_then_at_most_every_half_second() {
        assert_eq!((pause(0), pause(1)), (Duration::ZERO, Duration::ZERO));
        assert!(pause(2) <= Duration::from_millis(25) && pause(usize::MAX) <= LONGEST_PAUSE);
        assert!(pause(100) >= LONGEST_PAUSE / 2);
    }
}
