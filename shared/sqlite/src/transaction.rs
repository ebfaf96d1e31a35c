//! One write transaction, and what it has looked up: epochs and the homes of instances.

use rusqlite::{Connection, OptionalExtension, Result, params};
use std::collections::HashMap;
use warren_domain::{Epoch, Fence, InstanceId, Shard, ShardCount, TenantId, Timestamp};

/// How a write's fence compares with the stored epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The stored epoch is the fence's.
    Holds,
    /// The stored one is higher.
    Lost,
    /// The stored one is lower, or absent.
    Behind,
}

/// The open write transaction.
///
/// Epochs and homes are read once a transaction: there is one writer and the transaction holds the database's write lock
/// from its first statement (`BEGIN IMMEDIATE`), so that nobody else can change either before it ends. Work of this same
/// transaction that changes them calls [`Tx::forget`].
pub(crate) struct Tx<'c> {
    /// The write connection.
    pub(crate) conn: &'c Connection,
    /// When the transaction began, by the store's clock.
    pub(crate) now: Timestamp,
    /// How many shards there are.
    pub(crate) shards: ShardCount,
    epochs: HashMap<Shard, Option<Epoch>>,
    homes: HashMap<InstanceId, Option<TenantId>>,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c Connection, now: Timestamp, shards: ShardCount) -> Self {
        Self { conn, now, shards, epochs: HashMap::new(), homes: HashMap::new() }
    }

    /// Compares a fence with the stored epoch of its shard.
    pub(crate) fn standing(&mut self, fence: Fence) -> Result<Standing> {
        let stored = match self.epochs.get(&fence.shard) {
            Some(stored) => *stored,
            None => {
                let stored = stored_epoch(self.conn, fence.shard)?;
                self.epochs.insert(fence.shard, stored);
                stored
            }
        };
        Ok(match stored {
            Some(epoch) if epoch == fence.epoch => Standing::Holds,
            Some(epoch) if epoch > fence.epoch => Standing::Lost,
            _ => Standing::Behind,
        })
    }

    /// Whether the instance lives in this shard, belongs to the tenant and is not deleted.
    pub(crate) fn is_home(&mut self, tenant: TenantId, instance: InstanceId, shard: Shard) -> Result<bool> {
        if Shard::of(instance, self.shards) != shard {
            return Ok(false);
        }
        let home = match self.homes.get(&instance) {
            Some(home) => *home,
            None => {
                let home = self
                    .conn
                    .prepare_cached("SELECT tenant_id FROM instances WHERE id = ?1 AND deleted_at IS NULL")?
                    .query_row(params![instance.as_bytes()], |row| row.get(0).map(TenantId::from_bytes))
                    .optional()?;
                self.homes.insert(instance, home);
                home
            }
        };
        Ok(home == Some(tenant))
    }

    /// Drops what was looked up, because it was changed (or a change was undone).
    pub(crate) fn forget(&mut self) {
        self.epochs.clear();
        self.homes.clear();
    }

    /// Runs `work` so that an error of its own undoes exactly its writes. A passing condition is handed through: the
    /// whole transaction will be undone.
    pub(crate) fn in_savepoint<T, E: From<rusqlite::Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Result<T, E>> {
        self.conn.prepare_cached("SAVEPOINT item")?.execute([])?;
        let result = work(self);
        if result.is_err() {
            // SQLite undoes the whole transaction by itself on some errors (disk full, I/O): no savepoint is left then.
            if self.conn.is_autocommit() {
                return Ok(result);
            }
            self.conn.prepare_cached("ROLLBACK TO item")?.execute([])?;
            self.forget();
        }
        self.conn.prepare_cached("RELEASE item")?.execute([])?;
        Ok(result)
    }
}

/// The stored epoch of a shard.
pub(crate) fn stored_epoch(conn: &Connection, shard: Shard) -> Result<Option<Epoch>> {
    conn.prepare_cached("SELECT epoch FROM shard_owners WHERE shard = ?1")?
        .query_row(params![shard.0], |row| row.get(0).map(Epoch))
        .optional()
}
