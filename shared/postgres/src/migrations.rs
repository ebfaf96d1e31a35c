//! The schema, as numbered files that are never edited: each is applied in one transaction and recorded with its checksum.

use crate::open::OpenError;
use crate::roles;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, Row};
use warren_domain::Timestamp;

/// Held while the schema is looked at and changed: two binaries that start at once do it one after the other.
const LOCK: (i32, i32) = (0x5752_524e, 1);

/// Number, name, text; the numbers rise, and are SQLite's.
const ALL: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../../migrations/postgres/0001_initial.sql")),
    (2, "events_without_seq_index", include_str!("../../../migrations/postgres/0002_events_without_seq_index.sql")),
    (3, "media", include_str!("../../../migrations/postgres/0003_media.sql")),
    (4, "message_members", include_str!("../../../migrations/postgres/0004_message_members.sql")),
    (5, "numbers_and_connections", include_str!("../../../migrations/postgres/0005_numbers_and_connections.sql")),
    (6, "queue", include_str!("../../../migrations/postgres/0006_queue.sql")),
    (7, "webhooks", include_str!("../../../migrations/postgres/0007_webhooks.sql")),
    (8, "seed_webhooks", include_str!("../../../migrations/postgres/0008_seed_webhooks.sql")),
    (9, "contacts", include_str!("../../../migrations/postgres/0009_contacts.sql")),
    (10, "log_head_after", include_str!("../../../migrations/postgres/0010_log_head_after.sql")),
];

/// Checks what was applied, and applies the rest if allowed; then the roles of services, if they are wanted.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    now: Timestamp,
    allowed: bool,
    with_roles: bool,
) -> Result<(), OpenError> {
    // Who only looks takes no lock: a migration under way shows as pending.
    if !allowed {
        let pending = pending(conn).await?.len();
        return if pending == 0 { Ok(()) } else { Err(OpenError::Pending { count: pending }) };
    }
    sqlx::query("SELECT pg_advisory_lock($1, $2)").bind(LOCK.0).bind(LOCK.1).execute(&mut *conn).await?;
    let settled = async {
        apply_pending(&mut *conn, now).await?;
        if with_roles { roles::settle(&mut *conn).await } else { Ok(()) }
    };
    let settled = settled.await;
    sqlx::query("SELECT pg_advisory_unlock($1, $2)").bind(LOCK.0).bind(LOCK.1).execute(conn).await?;
    settled
}

async fn apply_pending(conn: &mut PgConnection, now: Timestamp) -> Result<(), OpenError> {
    for (number, name, sql) in pending(conn).await? {
        apply(conn, now, *number, name, sql).await?;
    }
    Ok(())
}

async fn pending(conn: &mut PgConnection) -> Result<Vec<&'static (i64, &'static str, &'static str)>, OpenError> {
    let applied = applied(conn).await?;
    let known = ALL.last().map_or(0, |(number, _, _)| *number);
    for (version, checksum) in &applied {
        match ALL.iter().find(|(number, _, _)| number == version) {
            None => return Err(OpenError::Newer { found: *version, known }),
            Some((_, _, sql)) if checksum_of(sql) != *checksum => return Err(OpenError::Edited { version: *version }),
            Some(_) => {}
        }
    }
    Ok(ALL.iter().filter(|(number, _, _)| applied.iter().all(|(version, _)| version != number)).collect())
}

/// What was applied, if this is a Warren database or an empty one.
async fn applied(conn: &mut PgConnection) -> Result<Vec<(i64, String)>, OpenError> {
    let (ours, tables): (bool, i64) = sqlx::query_as(
        "SELECT to_regclass('warren_migrations') IS NOT NULL,
                (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema())",
    )
    .fetch_one(&mut *conn)
    .await?;
    match (ours, tables) {
        (true, _) => {}
        (false, 0) => return Ok(Vec::new()),
        (false, _) => return Err(OpenError::NotWarren),
    }
    let rows = sqlx::query("SELECT version, checksum FROM warren_migrations ORDER BY version").fetch_all(conn).await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?)
}

async fn apply(
    conn: &mut PgConnection,
    now: Timestamp,
    number: i64,
    name: &str,
    sql: &'static str,
) -> Result<(), OpenError> {
    let mut transaction = conn.begin().await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS warren_migrations (
             version BIGINT PRIMARY KEY,
             name TEXT NOT NULL,
             checksum TEXT NOT NULL,
             applied_at BIGINT NOT NULL
         )",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::raw_sql(sql).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO warren_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(number)
        .bind(name)
        .bind(checksum_of(sql))
        .bind(now.as_millis())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    tracing::info!(number, name, "a migration was applied");
    Ok(())
}

fn checksum_of(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.as_bytes()))
}
