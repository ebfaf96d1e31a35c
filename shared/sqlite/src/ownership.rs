//! Which epoch owns each shard: all that is needed to shut an earlier owner out.

use crate::Sqlite;
use crate::failure::Stop;
use crate::transaction::stored_epoch;
use async_trait::async_trait;
use rusqlite::params;
use warren_domain::{Epoch, Error, Result, Shard};
use warren_ports::ledger::{Ownership, Taken};

#[async_trait]
impl Ownership for Sqlite {
    async fn take(&self, shards: &[(Shard, Epoch)]) -> Result<Vec<Taken>> {
        let shards = shards.to_vec();
        self.write(move |tx| {
            if shards.iter().any(|(shard, _)| shard.0 >= tx.shards.0.get()) {
                return Err(Stop::Verdict(Error::invalid("no_such_shard", "The deployment has fewer shards.")));
            }
            let mut verdicts = Vec::with_capacity(shards.len());
            for (shard, epoch) in &shards {
                let raised = tx
                    .conn
                    .prepare_cached(
                        "INSERT INTO shard_owners (shard, epoch) VALUES (?1, ?2)
                         ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch WHERE epoch <= excluded.epoch",
                    )?
                    .execute(params![shard.0, epoch.0])?;
                verdicts.push(match stored_epoch(tx.conn, *shard)? {
                    Some(stored) if raised == 0 => Taken::Higher(stored),
                    _ => Taken::Raised,
                });
            }
            tx.forget();
            Ok(verdicts)
        })
        .await
    }

    async fn highest_epoch(&self) -> Result<Epoch> {
        self.read(|conn| {
            let highest: Option<i64> =
                conn.prepare_cached("SELECT max(epoch) FROM shard_owners")?.query_row([], |row| row.get(0))?;
            Ok(highest.map_or_else(Epoch::default, Epoch))
        })
        .await
    }
}
