//! Session state, as its owner reads it. Sealed before it came here; nothing of it is cached.

use crate::rows::{Id, id, uuids};
use crate::{Postgres, records};
use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use warren_domain::{InstanceId, Result};
use warren_ports::ledger::{Record, RecordKind, Sessions};

impl Postgres {
    /// Waits for writes that were answered before their commit, where this kind has such: a read sees every write whose
    /// outcome was returned before it.
    async fn settled(&self, kind: RecordKind, instances: &[InstanceId]) -> Result<()> {
        if kind == RecordKind::PendingInbound { self.lanes().settled(instances).await } else { Ok(()) }
    }
}

#[async_trait]
impl Sessions for Postgres {
    async fn records(&self, instance: InstanceId, kind: RecordKind, keys: &[Vec<u8>]) -> Result<Vec<Record>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.settled(kind, &[instance]).await?;
        let ranges = || keys.iter().map(|key| records::only(key)).collect();
        self.reading(|| self.records().read(instance.uuid(), kind, ranges())).await
    }

    async fn records_with_prefix(&self, instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> Result<Vec<Record>> {
        self.settled(kind, &[instance]).await?;
        self.reading(|| self.records().read(instance.uuid(), kind, vec![records::beginning(prefix)])).await
    }

    async fn last_record(&self, instance: InstanceId, kind: RecordKind, by_mark: bool) -> Result<Option<Record>> {
        self.settled(kind, &[instance]).await?;
        let sql = if by_mark {
            "SELECT key, value, mark FROM session_records WHERE instance_id = $1 AND kind = $2
             ORDER BY mark DESC, key DESC LIMIT 1"
        } else {
            "SELECT key, value, mark FROM session_records WHERE instance_id = $1 AND kind = $2 ORDER BY key DESC LIMIT 1"
        };
        self.reading(|| async {
            let row = sqlx::query(sql).bind(instance.uuid()).bind(kind as i16).fetch_optional(self.pool()).await?;
            Ok(row.as_ref().map(|row| record(row, kind)).transpose()?)
        })
        .await
    }

    async fn records_of(&self, instances: &[InstanceId], kind: RecordKind) -> Result<Vec<(InstanceId, Record)>> {
        self.settled(kind, instances).await?;
        let ids = uuids(instances);
        let ids = &ids;
        self.reading(|| async {
            let rows = sqlx::query(
                "SELECT key, value, mark, instance_id FROM session_records
                 WHERE instance_id = ANY($1) AND kind = $2 ORDER BY instance_id, key",
            )
            .bind(ids)
            .bind(kind as i16)
            .fetch_all(self.pool())
            .await?;
            let of = |row: &PgRow| Ok((id(row, 3)?, record(row, kind)?));
            Ok(rows.iter().map(of).collect::<Result<_, sqlx::Error>>()?)
        })
        .await
    }
}

fn record(row: &PgRow, kind: RecordKind) -> Result<Record, sqlx::Error> {
    Ok(Record { kind, key: row.try_get(0)?, value: row.try_get(1)?, mark: row.try_get(2)? })
}
