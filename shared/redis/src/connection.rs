//! The one connection of a process: multiplexed, made again by itself, and never waited for long.

use crate::{Leases, Limiter};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, core::Collector};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_domain::{Error, Result};

/// How long a command may take before its caller goes on without an answer.
const COMMAND: Duration = Duration::from_millis(500);
/// How long the first connection may take.
const FIRST: Duration = Duration::from_secs(5);
/// Between two tries to connect again.
const AGAIN: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_millis(500);

/// What is connected to.
#[derive(Clone)]
pub struct Options {
    /// `redis://user:password@host:port/number`, or `rediss://` for TLS.
    pub url: String,
    /// The cluster's id: every key begins with it.
    pub cluster: String,
}

impl Options {
    /// A server, and the cluster that speaks.
    #[must_use]
    pub fn new(url: &str, cluster: &str) -> Self {
        Self { url: url.to_owned(), cluster: cluster.to_owned() }
    }
}

/// Why there is no connection: one line, without the URL's password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is no URL of a Redis server.
    #[error("this is no URL of a Redis server (redis://user:password@host:6379)")]
    Url,
    /// The server does not answer, or refuses.
    #[error("Redis at {server} does not let us in: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
    },
}

/// A connection to Redis. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    manager: ConnectionManager,
    /// `wrn:{cluster}:`. The braces keep the keys of a cluster in one slot.
    prefix: String,
    seconds: HistogramVec,
    local: IntCounter,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, for at most five seconds. Later the connection is made again by itself whenever it breaks.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let info = options.url.as_str().into_connection_info().map_err(|_| ConnectError::Url)?;
        let server = info.addr().to_string();
        let unreachable = |reason: String| ConnectError::Unreachable { server: server.clone(), reason };
        let client = Client::open(info).map_err(|error| unreachable(reason(&error)))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(COMMAND))
            .set_response_timeout(Some(COMMAND))
            .set_min_delay(AGAIN.start)
            .set_max_delay(AGAIN.end)
            .set_number_of_retries(2);
        let mut manager = match tokio::time::timeout(FIRST, ConnectionManager::new_with_config(client, config)).await {
            Ok(Ok(manager)) => manager,
            Ok(Err(error)) => return Err(unreachable(reason(&error))),
            Err(_) => return Err(unreachable(format!("no answer within {} s", FIRST.as_secs()))),
        };
        // A wrong password shows here at the latest.
        let pong = redis::cmd("PING").query_async::<()>(&mut manager).await;
        pong.map_err(|error| unreachable(reason(&error)))?;
        let prefix = format!("wrn:{{{}}}:", options.cluster);
        Ok(Self { inner: Arc::new(Inner { manager, prefix, seconds: seconds(), local: local() }) })
    }

    /// The leases of workers.
    #[must_use]
    pub fn leases(&self) -> Leases {
        Leases::new(self.clone())
    }

    /// The rates of tenants.
    #[must_use]
    pub fn limiter(&self) -> Limiter {
        Limiter::new(self.clone())
    }

    /// The figures, to be registered once: `warren_redis_seconds{command,result}` and `warren_limiter_local_total`.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.inner.seconds.clone()), Box::new(self.inner.local.clone())]
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.inner.prefix)
    }

    pub(crate) fn manager(&self) -> ConnectionManager {
        self.inner.manager.clone()
    }

    /// Counts a verdict that was found without Redis.
    pub(crate) fn count_local(&self) {
        self.inner.local.inc();
    }

    /// Asks several things in one round trip.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &'static str, pipeline: &Pipeline) -> Result<T> {
        let mut manager = self.manager();
        self.timed(command, pipeline.query_async(&mut manager)).await
    }

    /// Waits for an answer, but not for long.
    pub(crate) async fn timed<T>(
        &self,
        command: &'static str,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T> {
        let started = Instant::now();
        let answered = match tokio::time::timeout(COMMAND, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Error::unavailable("The lease store does not answer.").with_source(Told(reason(&error)))),
            Err(_) => Err(Error::unavailable("The lease store does not answer in time.")),
        };
        let result = if answered.is_ok() { "ok" } else { "failed" };
        self.inner.seconds.with_label_values(&[command, result]).observe(started.elapsed().as_secs_f64());
        answered
    }
}

/// What Redis, or the way to it, said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// One line. What the server says of a password does not repeat it.
fn reason(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "the user or the password is wrong".to_owned();
    }
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    error.to_string().replace('\n', " ")
}

/// Looks at a server: one line that says that all is well, or one that says what is wrong.
///
/// # Errors
/// What is wrong.
pub async fn check(options: Options) -> Result<String, String> {
    let redis = Redis::connect(options).await.map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME").ignore();
    redis.ask::<()>("time", &pipeline).await.map_err(|error| error.detail.to_string())?;
    Ok(format!("answers in {:.1} ms", started.elapsed().as_secs_f64() * 1000.0))
}

#[expect(clippy::expect_used, reason = "literals")]
fn seconds() -> HistogramVec {
    let options = HistogramOpts::new("warren_redis_seconds", "How long Redis took to answer.")
        .buckets(vec![0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5]);
    HistogramVec::new(options, &["command", "result"]).expect("a well-formed metric")
}

#[expect(clippy::expect_used, reason = "literals")]
fn local() -> IntCounter {
    IntCounter::new("warren_limiter_local_total", "Requests judged by this process alone, because Redis was away.")
        .expect("a well-formed metric")
}
