//! Session state, as its owner reads it. Sealed before it came here; nothing of it is cached.

use crate::Sqlite;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use warren_domain::{InstanceId, Result};
use warren_ports::ledger::{Record, RecordKind, Sessions, after_prefix};

impl Sqlite {
    /// Waits for writes that were answered before their commit, where this kind has such: a read sees every write whose
    /// outcome was returned before it.
    async fn settled(&self, kind: RecordKind) -> Result<()> {
        if kind == RecordKind::PendingInbound && self.writer().has_unsettled() {
            self.write(|_| Ok(())).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Sessions for Sqlite {
    async fn records(&self, instance: InstanceId, kind: RecordKind, keys: &[Vec<u8>]) -> Result<Vec<Record>> {
        self.settled(kind).await?;
        let keys = keys.to_vec();
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT key, value, mark FROM session_records WHERE instance_id = ?1 AND kind = ?2 AND key = ?3",
            )?;
            let mut found = Vec::with_capacity(keys.len());
            for key in &keys {
                let row = statement
                    .query_row(params![instance.as_bytes(), kind as u8, key], |row| record(row, kind))
                    .optional()?;
                found.extend(row);
            }
            Ok(found)
        })
        .await
    }

    async fn records_with_prefix(&self, instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> Result<Vec<Record>> {
        self.settled(kind).await?;
        let prefix = prefix.to_vec();
        self.read(move |conn| Ok(with_prefix(conn, instance, kind, &prefix)?)).await
    }

    async fn last_record(&self, instance: InstanceId, kind: RecordKind, by_mark: bool) -> Result<Option<Record>> {
        self.settled(kind).await?;
        self.read(move |conn| {
            let order = if by_mark {
                "SELECT key, value, mark FROM session_records WHERE instance_id = ?1 AND kind = ?2 ORDER BY mark DESC, key DESC LIMIT 1"
            } else {
                "SELECT key, value, mark FROM session_records WHERE instance_id = ?1 AND kind = ?2 ORDER BY key DESC LIMIT 1"
            };
            let mut statement = conn.prepare_cached(order)?;
            Ok(statement.query_row(params![instance.as_bytes(), kind as u8], |row| record(row, kind)).optional()?)
        })
        .await
    }

    async fn records_of(&self, instances: &[InstanceId], kind: RecordKind) -> Result<Vec<(InstanceId, Record)>> {
        self.settled(kind).await?;
        let instances = instances.to_vec();
        self.read(move |conn| {
            let mut found = Vec::new();
            for instance in &instances {
                let records = with_prefix(conn, *instance, kind, &[])?;
                found.extend(records.into_iter().map(|record| (*instance, record)));
            }
            Ok(found)
        })
        .await
    }
}

fn with_prefix(conn: &Connection, instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> rusqlite::Result<Vec<Record>> {
    let columns = |row: &Row<'_>| record(row, kind);
    match after_prefix(prefix) {
        Some(end) => conn
            .prepare_cached(
                "SELECT key, value, mark FROM session_records
                 WHERE instance_id = ?1 AND kind = ?2 AND key >= ?3 AND key < ?4 ORDER BY key",
            )?
            .query_map(params![instance.as_bytes(), kind as u8, prefix, end], columns)?
            .collect(),
        None => conn
            .prepare_cached(
                "SELECT key, value, mark FROM session_records WHERE instance_id = ?1 AND kind = ?2 AND key >= ?3 ORDER BY key",
            )?
            .query_map(params![instance.as_bytes(), kind as u8, prefix], columns)?
            .collect(),
    }
}

fn record(row: &Row<'_>, kind: RecordKind) -> rusqlite::Result<Record> {
    Ok(Record { kind, key: row.get(0)?, value: row.get(1)?, mark: row.get(2)? })
}
