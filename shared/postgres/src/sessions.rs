//! Session state, as its owner reads it. Sealed before it came here; nothing of it is cached.

use crate::Postgres;
use crate::rows::{Id, id, uuids};
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
        self.settled(kind, &[instance]).await?;
        self.reading(|| async {
            let rows = sqlx::query(
                "SELECT key, value, mark FROM session_records WHERE instance_id = $1 AND kind = $2 AND key = ANY($3)",
            )
            .bind(instance.uuid())
            .bind(kind as i16)
            .bind(keys)
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(|row| record(row, kind)).collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn records_with_prefix(&self, instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> Result<Vec<Record>> {
        self.settled(kind, &[instance]).await?;
        let end = after_prefix(prefix);
        let end = &end;
        self.reading(|| async {
            let query = match end {
                Some(end) => sqlx::query(
                    "SELECT key, value, mark FROM session_records
                     WHERE instance_id = $1 AND kind = $2 AND key >= $3 AND key < $4 ORDER BY key",
                )
                .bind(instance.uuid())
                .bind(kind as i16)
                .bind(prefix)
                .bind(end.as_slice()),
                None => sqlx::query(
                    "SELECT key, value, mark FROM session_records
                     WHERE instance_id = $1 AND kind = $2 AND key >= $3 ORDER BY key",
                )
                .bind(instance.uuid())
                .bind(kind as i16)
                .bind(prefix),
            };
            let rows = query.fetch_all(self.pool()).await?;
            Ok(rows.iter().map(|row| record(row, kind)).collect::<Result<_, _>>()?)
        })
        .await
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

/// The first key behind all that start with `prefix`; `None` if there is no end.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_of_its_length_or_shorter() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(&[]), None);
    }
}
