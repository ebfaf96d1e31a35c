//! Session state: records by kind and key, sealed before they come here.

use super::{Item, Result, Tx, changed};
use crate::counters;
use crate::rows::Id;
use sqlx::Row;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use warren_domain::{FailureReason, InstanceId, Timestamp};
use warren_ports::ledger::{Op, Outcome, Record, RecordKind, after_prefix};

/// Names a record among all.
type Name<'a> = (InstanceId, RecordKind, &'a [u8]);

/// Puts and deletes. What is deleted at any point goes first, which tells what was there; then the last that was put under
/// each name is stored.
pub(super) async fn replace(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<()> {
    let stored = delete_named(tx, items).await?;
    // What each name has come to: a record, or none any more.
    let mut now: HashMap<Name<'_>, Option<(Uuid, &Record)>> = HashMap::new();
    for item in items {
        let instance = item.write.instance;
        let outcome = match &item.write.op {
            Op::Put(records) => {
                let tenant = item.write.tenant.uuid();
                now.extend(
                    records.iter().map(|record| ((instance, record.kind, record.key.as_slice()), Some((tenant, record)))),
                );
                changed(u64::from(!records.is_empty()))
            }
            Op::Delete { kind, keys } => {
                let mut gone = 0;
                for key in keys {
                    let name = (instance, *kind, key.as_slice());
                    let was_there = match now.insert(name, None) {
                        Some(record) => record.is_some(),
                        None => stored.contains(&(instance.uuid(), *kind as i16, key.clone())),
                    };
                    gone += u64::from(was_there);
                }
                changed(gone)
            }
            _ => continue,
        };
        tx.settle(*item, outcome);
    }
    let put: Vec<_> = now.into_iter().filter_map(|(name, record)| record.map(|record| (name, record))).collect();
    put_all(tx, &put).await
}

/// Deletes all that some write of these deletes; the names of what was there.
async fn delete_named(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<HashSet<(Uuid, i16, Vec<u8>)>> {
    let (mut instances, mut kinds, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        if let Op::Delete { kind, keys } = &item.write.op {
            for key in keys {
                instances.push(item.write.instance.uuid());
                kinds.push(*kind as i16);
                named.push(key.as_slice());
            }
        }
    }
    if named.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(
        "DELETE FROM session_records WHERE ctid = ANY (ARRAY (
             SELECT stored.ctid FROM unnest($1::UUID[], $2::SMALLINT[], $3::BYTEA[]) AS named (instance_id, kind, key)
             CROSS JOIN LATERAL (
                 SELECT ctid FROM session_records r
                 WHERE r.instance_id = named.instance_id AND r.kind = named.kind AND r.key = named.key OFFSET 0) AS stored))
         RETURNING instance_id, kind, key",
    )
    .bind(instances)
    .bind(kinds)
    .bind(named)
    .fetch_all(&mut *tx.conn)
    .await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect::<sqlx::Result<_>>()?)
}

async fn put_all(tx: &mut Tx<'_>, put: &[(Name<'_>, (Uuid, &Record))]) -> Result<()> {
    if put.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO session_records (instance_id, kind, key, tenant_id, mark, value)
         SELECT * FROM unnest($1::UUID[], $2::SMALLINT[], $3::BYTEA[], $4::UUID[], $5::BIGINT[], $6::BYTEA[])
         ON CONFLICT (instance_id, kind, key) DO UPDATE SET mark = excluded.mark, value = excluded.value",
    )
    .bind(put.iter().map(|((instance, _, _), _)| instance.uuid()).collect::<Vec<_>>())
    .bind(put.iter().map(|((_, kind, _), _)| *kind as i16).collect::<Vec<_>>())
    .bind(put.iter().map(|((_, _, key), _)| *key).collect::<Vec<_>>())
    .bind(put.iter().map(|(_, (tenant, _))| *tenant).collect::<Vec<_>>())
    .bind(put.iter().map(|(_, (_, record))| record.mark).collect::<Vec<_>>())
    .bind(put.iter().map(|(_, (_, record))| record.value.as_slice()).collect::<Vec<_>>())
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

pub(super) async fn mark(tx: &mut Tx<'_>, item: Item<'_>, kind: RecordKind, keys: &[Vec<u8>], mark: i64) -> Result<Outcome> {
    let done = sqlx::query("UPDATE session_records SET mark = $4 WHERE instance_id = $1 AND kind = $2 AND key = ANY($3)")
        .bind(item.write.instance.uuid())
        .bind(kind as i16)
        .bind(keys)
        .bind(mark)
        .execute(&mut *tx.conn)
        .await?;
    Ok(changed(done.rows_affected()))
}

pub(super) async fn delete_prefix(tx: &mut Tx<'_>, item: Item<'_>, kind: RecordKind, prefix: &[u8]) -> Result<Outcome> {
    let end = after_prefix(prefix);
    let query = match &end {
        Some(end) => {
            sqlx::query("DELETE FROM session_records WHERE instance_id = $1 AND kind = $2 AND key >= $3 AND key < $4")
                .bind(item.write.instance.uuid())
                .bind(kind as i16)
                .bind(prefix)
                .bind(end.as_slice())
        }
        None => sqlx::query("DELETE FROM session_records WHERE instance_id = $1 AND kind = $2 AND key >= $3")
            .bind(item.write.instance.uuid())
            .bind(kind as i16)
            .bind(prefix),
    };
    Ok(changed(query.execute(&mut *tx.conn).await?.rows_affected()))
}

pub(super) async fn delete_marked_before(tx: &mut Tx<'_>, item: Item<'_>, kind: RecordKind, before: i64) -> Result<Outcome> {
    let done = sqlx::query("DELETE FROM session_records WHERE instance_id = $1 AND kind = $2 AND mark > 0 AND mark < $3")
        .bind(item.write.instance.uuid())
        .bind(kind as i16)
        .bind(before)
        .execute(&mut *tx.conn)
        .await?;
    Ok(changed(done.rows_affected()))
}

/// Deletes all session state of an instance, and fails its open messages if asked.
pub(super) async fn forget(tx: &mut Tx<'_>, item: Item<'_>, failing: Option<Timestamp>) -> Result<Outcome> {
    let instance = item.write.instance;
    let gone = sqlx::query("DELETE FROM session_records WHERE instance_id = $1")
        .bind(instance.uuid())
        .execute(&mut *tx.conn)
        .await?
        .rows_affected();
    let mut ended = false;
    if let Some(at) = failing {
        for entry in counters::end_open(&mut *tx.conn, instance, FailureReason::LoggedOut, at).await? {
            tx.append(item, entry);
            ended = true;
        }
    }
    Ok(changed(gone + u64::from(ended)))
}
