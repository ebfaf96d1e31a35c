//! The log's partitions: ranges of positions, always some ahead of what is written, dropped as a whole when old.
//!
//! How wide a partition is follows from how long the last one took: about a day each, so that a week's retention is a handful
//! of them. At the widest rate the narrowest lasts most of an hour, and one that is not begun is always ahead of the open one.

use sqlx::{Connection, PgConnection, Row};
use warren_domain::Timestamp;

/// Held by who changes the partitions, in the form with two keys: those of the horizon have one.
const LOCK: (i32, i32) = (0x5752_524e, 2);
/// Partitions that are ready before the first position of each is given.
const AHEAD: usize = 2;
const NARROWEST: i64 = 1 << 24;
const WIDEST: i64 = 1 << 29;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// One partition: the positions from `lower` up to, and without, `upper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) lower: i64,
    pub(super) upper: i64,
    /// When its first position was seen to be given.
    pub(super) opened_at: Option<i64>,
}

/// All partitions, from the front of the log.
pub(super) async fn all(conn: &mut PgConnection) -> Result<Vec<Partition>, sqlx::Error> {
    let rows = sqlx::query("SELECT lower, upper, opened_at FROM event_partitions ORDER BY lower").fetch_all(conn).await?;
    let partition = |row: &sqlx::postgres::PgRow| {
        Ok(Partition { lower: row.try_get(0)?, upper: row.try_get(1)?, opened_at: row.try_get(2)? })
    };
    rows.iter().map(partition).collect()
}

/// Notes which partitions are open, and adds some ahead if there are too few.
pub(crate) async fn extend(conn: &mut PgConnection, now: Timestamp) -> Result<(), sqlx::Error> {
    let given: i64 = sqlx::query_scalar("SELECT last_event_position()").fetch_one(&mut *conn).await?;
    let known = all(&mut *conn).await?;
    let unnoted = known.iter().any(|partition| partition.lower <= given && partition.opened_at.is_none());
    if !unnoted && ahead(&known, given) >= AHEAD {
        return Ok(());
    }
    let mut transaction = conn.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)").bind(LOCK.0).bind(LOCK.1).execute(&mut *transaction).await?;
    sqlx::query("UPDATE event_partitions SET opened_at = $1 WHERE lower <= $2 AND opened_at IS NULL")
        .bind(now.as_millis())
        .bind(given)
        .execute(&mut *transaction)
        .await?;
    // Somebody else may have been faster.
    let mut known = all(&mut transaction).await?;
    let width = width(&known);
    while ahead(&known, given) < AHEAD {
        let lower = known.last().map_or(0, |last| last.upper);
        let added = Partition { lower, upper: lower + width, opened_at: None };
        sqlx::query("SELECT add_event_partition($1, $2)")
            .bind(added.lower)
            .bind(added.upper)
            .execute(&mut *transaction)
            .await?;
        tracing::info!(lower = added.lower, upper = added.upper, "a partition was added to the log");
        known.push(added);
    }
    transaction.commit().await
}

/// Adds partitions until `position` is in one, inside the caller's transaction.
pub(crate) async fn reach(conn: &mut PgConnection, position: i64) -> Result<(), sqlx::Error> {
    let known = all(&mut *conn).await?;
    let mut end = known.last().map_or(0, |last| last.upper);
    while end <= position {
        sqlx::query("SELECT add_event_partition($1, $2)").bind(end).bind(end + WIDEST).execute(&mut *conn).await?;
        end += WIDEST;
    }
    Ok(())
}

fn ahead(known: &[Partition], given: i64) -> usize {
    known.iter().filter(|partition| partition.lower > given).count()
}

/// How wide the next partition is: what a day takes, by the last one that was filled.
fn width(known: &[Partition]) -> i64 {
    let filled = known.windows(2).rev().find_map(|pair| match pair {
        [one, next] => Some((one.upper - one.lower, next.opened_at? - one.opened_at?)),
        _ => None,
    });
    match filled {
        Some((span, took)) => {
            let day = i128::from(span) * i128::from(DAY_MS) / i128::from(took.max(1));
            i64::try_from(day).unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
        }
        None => NARROWEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(lower: i64, upper: i64, opened_at: Option<i64>) -> Partition {
        Partition { lower, upper, opened_at }
    }

    #[test]
    fn a_partition_is_about_a_day_wide() {
        assert_eq!(width(&[]), NARROWEST);
        let open = partition(NARROWEST, 2 * NARROWEST, None);
        assert_eq!(width(&[partition(0, NARROWEST, Some(0)), open]), NARROWEST);
        let filled = |took: i64| {
            let next = partition(NARROWEST, 2 * NARROWEST, Some(took));
            width(&[partition(0, NARROWEST, Some(0)), next, partition(2 * NARROWEST, 3 * NARROWEST, None)])
        };
        assert_eq!(filled(DAY_MS / 4), 4 * NARROWEST);
        assert_eq!(filled(7 * DAY_MS), NARROWEST);
        assert_eq!(filled(0), WIDEST);
    }
}
