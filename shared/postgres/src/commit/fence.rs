//! The fence: whether each write's epoch is the stored one, and whether its instance lives where it says.

use super::Result;
use crate::fault::Mutation;
use crate::rows::Id;
use sqlx::{PgConnection, Row};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use warren_domain::{Shard, ShardCount, Timestamp};
use warren_ports::ledger::Write;

/// Says which batch of which lane was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// The lane: one of one process.
    pub(crate) lane: Uuid,
    /// The batch, each try counted anew.
    pub(crate) batch: i64,
}

/// How a write stands before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The stored epoch is the fence's, and the instance is the tenant's, of the shard, and not deleted.
    Holds,
    /// The stored epoch is higher.
    Lost,
    /// The stored epoch is lower, or absent.
    Behind,
    /// There is no such instance there.
    Elsewhere,
}

/// What is stored of the owners and the instances of a batch.
#[derive(Default)]
struct Stored {
    epochs: HashMap<i32, i64>,
    homes: HashMap<Uuid, (Uuid, i32)>,
}

/// Compares every write's fence, and writes the lane's mark.
///
/// The owner rows are held `FOR SHARE`, in the order of their shards, until the transaction ends: a take waits for it. One that
/// was under way is waited for here, and the row is read as it left it. The select refers to the rows that are locked: one
/// that nothing refers to would not be read at all.
pub(super) async fn compare(
    conn: &mut PgConnection,
    writes: &[&Write],
    mark: Mark,
    now: Timestamp,
    shards: ShardCount,
    mutation: Mutation,
) -> Result<Vec<Standing>> {
    let owned: HashSet<i32> = writes.iter().map(|write| write.fence.shard.0.into()).collect();
    let instances: HashSet<Uuid> = writes.iter().map(|write| write.instance.uuid()).collect();
    let rows = sqlx::query(
        "WITH marked AS (
             INSERT INTO lane_commits (lane, batch, stored_at) VALUES ($1, $2, $3)
             ON CONFLICT (lane) DO UPDATE SET batch = excluded.batch, stored_at = excluded.stored_at),
         fence AS MATERIALIZED (
             SELECT shard, epoch FROM shard_owners WHERE shard = ANY($4) ORDER BY shard FOR SHARE)
         SELECT shard, epoch, NULL::UUID, NULL::UUID FROM fence
         UNION ALL
         SELECT shard, NULL, id, tenant_id FROM instances WHERE id = ANY($5) AND deleted_at IS NULL",
    )
    .bind(mark.lane)
    .bind(mark.batch)
    .bind(now.as_millis())
    .bind(owned.into_iter().collect::<Vec<_>>())
    .bind(instances.into_iter().collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut stored = Stored::default();
    for row in rows {
        let shard: i32 = row.try_get(0)?;
        match row.try_get::<Option<i64>, _>(1)? {
            Some(epoch) => drop(stored.epochs.insert(shard, epoch)),
            None => drop(stored.homes.insert(row.try_get(2)?, (row.try_get(3)?, shard))),
        }
    }
    Ok(writes.iter().map(|write| stored.standing(write, shards, mutation)).collect())
}

impl Stored {
    fn standing(&self, write: &Write, shards: ShardCount, mutation: Mutation) -> Standing {
        let fence = write.fence;
        let shard = i32::from(fence.shard.0);
        match self.epochs.get(&shard) {
            _ if mutation.is("fence_off") => {}
            Some(epoch) if *epoch > fence.epoch.0 => return Standing::Lost,
            Some(epoch) if *epoch == fence.epoch.0 => {}
            _ => return Standing::Behind,
        }
        let is_home = self.homes.get(&write.instance.uuid()) == Some(&(write.tenant.uuid(), shard));
        if is_home && Shard::of(write.instance, shards) == fence.shard { Standing::Holds } else { Standing::Elsewhere }
    }
}
