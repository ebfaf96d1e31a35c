//! Opening the store: the server, its schema, its identity, its connections.

use crate::accept::Acceptor;
use crate::events::Heads;
use crate::fault::Mutation;
use crate::lanes::{Lanes, Setup};
use crate::records::Records;
use crate::roles::Service;
use crate::{meta, migrations, roles};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use warren_domain::time::Clock;
use warren_domain::{Network, Result, ShardCount, Timestamp};

/// How long opening waits for the server.
const OPEN_WAIT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Statements kept prepared on a connection: more than there are.
const STATEMENTS: usize = 512;
/// How long the end of a handle may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// Is told about every commit of the lanes, and of accepted messages.
pub trait CommitObserver: Send + Sync {
    /// `items` writes were committed together; it took this long from the first try on.
    fn committed(&self, items: usize, took: Duration);
}

/// What a store is opened with.
pub struct Options {
    /// Where the server is: `postgres://user:password@host:port/database`, with `sslmode`, `sslrootcert` and so on as libpq
    /// has them.
    pub url: String,
    /// How the connections call themselves at the server: which service, on which machine.
    pub application_name: String,
    /// Which network's accounts it holds: fixed for ever by the first that says one. `None`: whatever it holds is right.
    pub network: Option<Network>,
    /// How many shards there are.
    pub shard_count: ShardCount,
    /// Whether pending migrations are applied (an empty store has all pending).
    pub migrate: bool,
    /// Whether migrating makes the roles of services, and grants them their rights.
    pub roles: bool,
    /// Whose role the connections have. `None`: the login's rights, whatever they are.
    pub service: Option<Service>,
    /// Connections of the edge and of all reads; 16 by default, at least 1.
    pub pool: u32,
    /// Committer lanes, each with a connection that is made when the first write comes; at least 1, which is the default. Two
    /// lanes commit the same writes in more transactions, which cost Postgres more than they bring while one keeps up; but while
    /// one waits for a locked row, the other goes on.
    pub lanes: u16,
    /// Where the store's own times come from.
    pub clock: Arc<dyn Clock>,
    /// Who is told about commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
    /// The protection that is switched off, in test builds; by default what `WARREN_MUTATION` says.
    #[cfg(feature = "fault-injection")]
    pub mutation: Option<&'static str>,
}

impl Options {
    /// Options for a server, with 1,024 shards, 16 connections, 1 lane, no migrations allowed, no role, and the machine's
    /// clock.
    #[must_use]
    pub fn new(url: impl Into<String>, network: impl Into<Option<Network>>) -> Self {
        Self {
            url: url.into(),
            application_name: "warren".to_owned(),
            network: network.into(),
            shard_count: ShardCount::default(),
            migrate: false,
            roles: false,
            service: None,
            pool: 16,
            lanes: 1,
            clock: Arc::new(warren_domain::time::SystemClock),
            observer: None,
            #[cfg(feature = "fault-injection")]
            mutation: crate::fault::of_environment(),
        }
    }
}

/// Why a store did not open. Each is one line for the operator, without the URL's password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is no URL of a Postgres server.
    #[error("this is no URL of a Postgres server (postgres://user:password@host:port/database): {0}")]
    Url(String),
    /// The server does not answer, or refuses.
    #[error("Postgres at {server} does not let us in: {reason}")]
    Unreachable {
        /// Host, port and database.
        server: String,
        /// Why.
        reason: String,
    },
    /// It belongs to the other network, or to another simulator.
    #[error("this store belongs to the network {stored} and was opened for {asked}: use another database")]
    OtherNetwork {
        /// The store's.
        stored: String,
        /// The one asked for.
        asked: String,
    },
    /// It was made with another number of shards.
    #[error("this store was made with {stored} shards and was opened with {asked}: the count is fixed for ever")]
    OtherShardCount {
        /// The store's.
        stored: String,
        /// The one asked for.
        asked: u16,
    },
    /// It was made with another hash of instances to shards.
    #[error("this store places instances by {stored}, which this binary does not know")]
    OtherShardHash {
        /// The store's.
        stored: String,
    },
    /// It has a migration that this binary does not know.
    #[error("this store has migration {found} and this binary knows {known}: use a newer binary")]
    Newer {
        /// The store's.
        found: i64,
        /// The last that is known.
        known: i64,
    },
    /// Migrations are pending and were not allowed.
    #[error("{count} migrations are pending: run `warren migrate` first")]
    Pending {
        /// How many.
        count: usize,
    },
    /// A migration was applied with another text.
    #[error("migration {version} was applied to this store with another text than this binary has")]
    Edited {
        /// Which one.
        version: i64,
    },
    /// The database is something else's.
    #[error("the database has tables and none of them are Warren's: use an empty one")]
    NotWarren,
    /// A role of a service is able to do what no service may.
    #[error("the role {role} can log in, is powerful, or is a member of the owner: a service's role must be none of that")]
    PowerfulRole {
        /// Which one.
        role: String,
    },
    /// The login has no rights of its own, and may not act as the service's role.
    #[error("the login {login} may not act as {role}: GRANT \"{role}\" TO \"{login}\"")]
    NoMember {
        /// The login.
        login: String,
        /// The role.
        role: String,
    },
    /// Postgres refused.
    #[error("the store does not open: {0}")]
    Postgres(#[from] sqlx::Error),
}

/// The ledger in Postgres. A cheap handle; clones share the connections, which end when the last one is dropped.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    acceptor: Acceptor,
    lanes: Lanes,
    control: PgPool,
    edge: PgPool,
    records: Records,
    heads: Heads,
    log: u64,
    shards: ShardCount,
    /// How a connection is made whose work takes as long as it takes.
    unlimited: PgConnectOptions,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Opens the store, or makes one in an empty database.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed then, except that migrations may have been applied.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let connect = connect_options(&options)?;
        let mut conn = first_connection(&connect).await?;
        let role = match options.service {
            Some(service) => roles::act(&mut conn, service).await?,
            None => None,
        };
        migrations::settle(&mut conn, options.clock.now(), options.migrate, options.roles).await?;
        let log = meta::settle_identity(&mut conn, options.network, options.shard_count).await?;
        conn.close().await?;

        let setup = Setup {
            connect: with_limits(&connect, &LANE_LIMITS),
            role: role.clone(),
            clock: Arc::clone(&options.clock),
            shards: options.shard_count,
            observer: options.observer.clone(),
            mutation: Mutation::of(&options),
        };
        let acting = match &role {
            Some(role) => connect.clone().options([("role", role)]),
            None => connect.clone(),
        };
        let accepting = with_limits(&acting, &EDGE_LIMITS);
        let edge = pool(options.pool, with_limits(&acting, &EDGE_LIMITS));
        let inner = Inner {
            acceptor: Acceptor::start(accepting, Arc::clone(&options.clock), options.observer),
            lanes: Lanes::start(options.lanes, &setup),
            control: pool(CONTROL, with_limits(&acting, &CONTROL_LIMITS)),
            records: Records::new(edge.clone()),
            edge,
            heads: Heads::default(),
            log,
            shards: options.shard_count,
            unlimited: acting,
            clock: options.clock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Commits what is queued and closes the connections, in ten seconds at most: what the server has not taken by then stays
    /// unanswered. Later calls are refused with `Unavailable`. Dropping every handle does the same without waiting.
    pub async fn close(&self) {
        let closed = async {
            self.inner.acceptor.close().await;
            self.inner.lanes.close().await;
            self.inner.control.close().await;
            self.inner.edge.close().await;
        };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::warn!("Postgres did not take what was queued; it stays unanswered");
        }
    }

    pub(crate) fn acceptor(&self) -> &Acceptor {
        &self.inner.acceptor
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    /// The connections of takeovers.
    pub(crate) fn control(&self) -> &PgPool {
        &self.inner.control
    }

    pub(crate) fn edge_pool(&self) -> &PgPool {
        &self.inner.edge
    }

    pub(crate) fn records(&self) -> &Records {
        &self.inner.records
    }

    /// A connection of its own, without limits.
    pub(crate) async fn long_connection(&self) -> sqlx::Result<PgConnection> {
        self.inner.unlimited.connect().await
    }

    /// Now, by the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// See [`Heads`].
    pub(crate) fn heads(&self) -> &Heads {
        &self.inner.heads
    }

    pub(crate) fn log(&self) -> u64 {
        self.inner.log
    }

    pub(crate) fn shards(&self) -> ShardCount {
        self.inner.shards
    }
}

/// What a connection may take, in milliseconds; the server itself ends what takes longer.
struct Limits {
    /// A statement.
    statement: u32,
    /// Waiting for a lock; 0: as long as the statement.
    lock: u32,
    /// A client that is silent inside a transaction.
    idle: u32,
}

/// A take waits for the batches under way; one that waits longer is asked again.
const CONTROL_LIMITS: Limits = Limits { statement: 2_000, lock: 500, idle: 1_000 };
/// Whoever writes the log is over in two seconds, and in less if the process is held up in the middle: a takeover waits for it.
const LANE_LIMITS: Limits = Limits { statement: 2_000, lock: 1_000, idle: 1_200 };
const EDGE_LIMITS: Limits = Limits { statement: 5_000, lock: 2_000, idle: 2_000 };
/// Connections of takeovers.
const CONTROL: u32 = 2;

/// A statement is planned once a connection, for arrays of any length, and perhaps while its tables are empty: what is best
/// then, reading all of a table, would be kept while they grow. So indexes are preferred whatever they cost; and statements that
/// take many rows name their keys in a way that leaves no other choice (`= ANY`, or a lateral that is not flattened).
fn with_limits(connect: &PgConnectOptions, limits: &Limits) -> PgConnectOptions {
    connect.clone().options([
        ("statement_timeout", limits.statement.to_string().as_str()),
        ("lock_timeout", &limits.lock.to_string()),
        ("idle_in_transaction_session_timeout", &limits.idle.to_string()),
        ("tcp_user_timeout", "2000"),
        ("default_transaction_isolation", "read committed"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_mergejoin", "off"),
        ("random_page_cost", "1.1"),
        // Compiling a statement takes longer than any of these.
        ("jit", "off"),
    ])
}

fn pool(size: u32, connect: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size.max(1))
        .acquire_timeout(ACQUIRE)
        // A connection that broke meanwhile shows on its first statement, which is run again.
        .test_before_acquire(false)
        .connect_lazy_with(connect)
}

fn connect_options(options: &Options) -> Result<PgConnectOptions, OpenError> {
    match options.url.split_once("://").map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => {}
        Some(scheme) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            return Err(OpenError::Url(format!("it begins with {scheme}")));
        }
        _ => return Err(OpenError::Url("it names no scheme".to_owned())),
    }
    // Its error may repeat what it did not understand, the password included.
    let connect = PgConnectOptions::from_str(&options.url).map_err(|_| OpenError::Url("it cannot be read".to_owned()))?;
    Ok(connect.application_name(&options.application_name).statement_cache_capacity(STATEMENTS).disable_statement_logging())
}

async fn first_connection(connect: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let server = format!("{}:{}/{}", connect.get_host(), connect.get_port(), connect.get_database().unwrap_or_default());
    let unreachable = |reason: String| OpenError::Unreachable { server, reason };
    match tokio::time::timeout(OPEN_WAIT, connect.connect()).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(sqlx::Error::Database(error))) => Err(unreachable(error.message().to_owned())),
        Ok(Err(error)) => Err(unreachable(error.to_string().replace('\n', " "))),
        Err(_) => Err(unreachable(format!("no answer within {} s", OPEN_WAIT.as_secs()))),
    }
}
