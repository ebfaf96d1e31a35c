//! Which epoch owns each shard: all that is needed to shut an earlier owner out.
//!
//! A take updates the owner rows; a lane holds those of its batch `FOR SHARE` until the batch is committed. So a take waits for
//! the batches under way and no longer (lanes end within their own limits), and a batch that comes after it reads the new
//! epoch. Both lock the rows in the order of their shards, so that neither waits for the other in a circle.

use crate::Postgres;
use crate::failure::Stop;
use async_trait::async_trait;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use warren_domain::{Epoch, Error, Result, Shard};
use warren_ports::ledger::{Ownership, Taken};

#[async_trait]
impl Ownership for Postgres {
    async fn take(&self, shards: &[(Shard, Epoch)]) -> Result<Vec<Taken>> {
        if shards.iter().any(|(shard, _)| shard.0 >= self.shards().0.get()) {
            return Err(Error::invalid("no_such_shard", "The deployment has fewer shards."));
        }
        // Of a shard that is named twice, the highest epoch is what is stored in the end.
        let mut wanted = BTreeMap::new();
        for (shard, epoch) in shards {
            let highest = wanted.entry(*shard).or_insert(*epoch);
            *highest = (*highest).max(*epoch);
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = &wanted;
        let stored = self
            .writing(|| async {
                let mut conn = self.control().acquire().await?;
                // One statement is one transaction; a second one with the same epochs changes nothing.
                Ok(raise(&mut conn, wanted).await?)
            })
            .await?;
        Ok(verdicts(shards, &stored))
    }

    async fn highest_epoch(&self) -> Result<Epoch> {
        self.reading(|| async {
            let highest: Option<i64> =
                sqlx::query_scalar("SELECT max(epoch) FROM shard_owners").fetch_one(self.pool()).await?;
            Ok::<_, Stop>(highest.map_or_else(Epoch::default, Epoch))
        })
        .await
    }
}

/// Raises epochs where the stored one is not higher; what is stored of each shard then.
///
/// A row that is seen to have a higher one stays so, and is not even locked: who was shut out does not wait for the batches of
/// those who own the shards now, nor do these wait for it.
async fn raise(conn: &mut PgConnection, wanted: &BTreeMap<Shard, Epoch>) -> Result<BTreeMap<Shard, Epoch>, sqlx::Error> {
    let shards: Vec<i32> = wanted.keys().map(|shard| i32::from(shard.0)).collect();
    let epochs: Vec<i64> = wanted.values().map(|epoch| epoch.0).collect();
    let raised: Vec<i32> = sqlx::query_scalar(
        "INSERT INTO shard_owners AS o (shard, epoch)
         SELECT * FROM unnest($1::INTEGER[], $2::BIGINT[]) AS wanted (shard, epoch)
         WHERE NOT EXISTS (SELECT FROM shard_owners s WHERE s.shard = wanted.shard AND s.epoch > wanted.epoch)
         ORDER BY shard
         ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch WHERE o.epoch <= excluded.epoch
         RETURNING shard",
    )
    .bind(&shards)
    .bind(&epochs)
    .fetch_all(&mut *conn)
    .await?;
    let mut stored = wanted.clone();
    if raised.len() == wanted.len() {
        return Ok(stored);
    }
    let higher = sqlx::query("SELECT shard, epoch FROM shard_owners WHERE shard = ANY($1) AND NOT shard = ANY($2)")
        .bind(&shards)
        .bind(&raised)
        .fetch_all(conn)
        .await?;
    for row in higher {
        if let Ok(shard) = u16::try_from(row.try_get::<i32, _>(0)?) {
            stored.insert(Shard(shard), Epoch(row.try_get(1)?));
        }
    }
    Ok(stored)
}

/// A verdict each, as if they had been taken one after the other.
fn verdicts(asked: &[(Shard, Epoch)], stored: &BTreeMap<Shard, Epoch>) -> Vec<Taken> {
    let highest_asked = |shard: Shard| asked.iter().filter(|(other, _)| *other == shard).map(|(_, epoch)| *epoch).max();
    let verdict = |(place, (shard, epoch)): (usize, &(Shard, Epoch))| {
        let stored = stored.get(shard).copied().unwrap_or(*epoch);
        if Some(stored) > highest_asked(*shard) {
            return Taken::Higher(stored);
        }
        match asked.iter().take(place).filter(|(other, _)| other == shard).map(|(_, earlier)| *earlier).max() {
            Some(earlier) if earlier > *epoch => Taken::Higher(earlier),
            _ => Taken::Raised,
        }
    };
    asked.iter().enumerate().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_named_twice_is_taken_one_after_the_other() {
        let asked = [(Shard(1), Epoch(5)), (Shard(1), Epoch(6)), (Shard(1), Epoch(4)), (Shard(2), Epoch(3))];
        let stored = BTreeMap::from([(Shard(1), Epoch(6)), (Shard(2), Epoch(9))]);
        let expected = [Taken::Raised, Taken::Raised, Taken::Higher(Epoch(6)), Taken::Higher(Epoch(9))];
        assert_eq!(verdicts(&asked, &stored), expected);
    }
}
