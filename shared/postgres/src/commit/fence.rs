//! The fence: whether each write's epoch is the stored one, and whether its instance lives where it says.

use super::Result;
use crate::rows::Id;
use sqlx::{PgConnection, Row};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use warren_domain::{Fence, InstanceId, Shard, ShardCount, TenantId, Timestamp};
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

/// What was found of one instance and its shard.
struct Found {
    epoch: Option<i64>,
    home: bool,
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
) -> Result<Vec<Standing>> {
    let mut places: HashMap<(Shard, TenantId, InstanceId), usize> = HashMap::new();
    let mut asked: Vec<(i32, Uuid, Uuid)> = Vec::new();
    let place_of: Vec<usize> = writes
        .iter()
        .map(|write| {
            *places.entry((write.fence.shard, write.tenant, write.instance)).or_insert_with(|| {
                asked.push((write.fence.shard.0.into(), write.tenant.uuid(), write.instance.uuid()));
                asked.len() - 1
            })
        })
        .collect();
    let owned: HashSet<i32> = asked.iter().map(|(shard, _, _)| *shard).collect();
    let rows = sqlx::query(
        "WITH marked AS (
             INSERT INTO lane_commits (lane, batch, stored_at) VALUES ($1, $2, $3)
             ON CONFLICT (lane) DO UPDATE SET batch = excluded.batch, stored_at = excluded.stored_at),
         fence AS MATERIALIZED (
             SELECT shard, epoch FROM shard_owners WHERE shard = ANY($4) ORDER BY shard FOR SHARE)
         SELECT fence.epoch, i.id IS NOT NULL
         FROM unnest($5::INTEGER[], $6::UUID[], $7::UUID[]) WITH ORDINALITY AS asked (shard, tenant_id, instance_id, place)
         LEFT JOIN fence ON fence.shard = asked.shard
         LEFT JOIN instances i ON i.id = asked.instance_id AND i.tenant_id = asked.tenant_id AND i.shard = asked.shard
                                  AND i.deleted_at IS NULL
         ORDER BY asked.place",
    )
    .bind(mark.lane)
    .bind(mark.batch)
    .bind(now.as_millis())
    .bind(owned.into_iter().collect::<Vec<_>>())
    .bind(asked.iter().map(|(shard, _, _)| *shard).collect::<Vec<_>>())
    .bind(asked.iter().map(|(_, tenant, _)| *tenant).collect::<Vec<_>>())
    .bind(asked.iter().map(|(_, _, instance)| *instance).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let found: Vec<Found> =
        rows.iter().map(|row| Ok(Found { epoch: row.try_get(0)?, home: row.try_get(1)? })).collect::<sqlx::Result<_>>()?;
    let standing = |(write, place): (&&Write, &usize)| match found.get(*place) {
        Some(found) => found.standing(write.fence, Shard::of(write.instance, shards)),
        None => Standing::Behind,
    };
    Ok(writes.iter().zip(&place_of).map(standing).collect())
}

impl Found {
    fn standing(&self, fence: Fence, shard: Shard) -> Standing {
        match self.epoch {
            Some(epoch) if epoch > fence.epoch.0 => Standing::Lost,
            Some(epoch) if epoch == fence.epoch.0 && self.home && shard == fence.shard => Standing::Holds,
            Some(epoch) if epoch == fence.epoch.0 => Standing::Elsewhere,
            _ => Standing::Behind,
        }
    }
}
