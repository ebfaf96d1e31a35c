//! The servers that a cluster stands on.

use crate::services::{Database, Nats, Postgres, Redis};
use anyhow::{Result, bail};

/// Where the ledger is.
#[derive(Debug)]
pub enum Ledger {
    /// In a server of its own, which can be killed, stopped and paused.
    Private(Postgres),
    /// In a fresh database of a server that tests share.
    Shared(Database),
}

impl Ledger {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Private(server) => server.url(),
            Self::Shared(database) => database.url().to_owned(),
        }
    }

    /// Runs statements as the superuser, each in a transaction of its own; returns the rows as text, columns divided by `|`.
    ///
    /// # Errors
    /// Postgres refuses one, or does not answer.
    pub async fn execute(&self, statements: &[&str]) -> Result<String> {
        match self {
            Self::Private(server) => server.execute(statements).await,
            Self::Shared(database) => database.execute(statements).await,
        }
    }
}

/// How Postgres is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A database in the server that tests share, if there is one: nothing is synced to disk.
    Shared,
    /// A server of its own; nothing is synced to disk, and what was committed survives SIGKILL.
    Private,
    /// A server of its own that syncs every commit.
    Synced,
}

/// Postgres, Redis and NATS.
#[derive(Debug)]
pub struct Servers {
    /// The ledger.
    pub ledger: Ledger,
    /// Leases and rates.
    pub redis: Redis,
    /// The bus.
    pub nats: Nats,
}

impl Servers {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// One of them is not installed, or does not start.
    pub async fn start(durability: Durability) -> Result<Self> {
        let ledger = async {
            anyhow::Ok(match durability {
                Durability::Shared => Ledger::Shared(Postgres::database().await?),
                Durability::Private => Ledger::Private(Postgres::start().await?),
                Durability::Synced => Ledger::Private(Postgres::start_durable().await?),
            })
        };
        let (ledger, redis, nats) = tokio::join!(ledger, Redis::start(), Nats::start());
        Ok(Self { ledger: ledger?, redis: redis?, nats: nats? })
    }

    /// The servers' own Postgres.
    ///
    /// # Errors
    /// The ledger is a database of a server that others use.
    pub fn postgres(&mut self) -> Result<&mut Postgres> {
        match &mut self.ledger {
            Ledger::Private(server) => Ok(server),
            Ledger::Shared(_) => bail!("this ledger's server is shared: ask for a private one"),
        }
    }
}
