//! The schema, as numbered files that are never edited: each is applied in one transaction and recorded with its checksum.

use crate::open::OpenError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use warren_domain::Timestamp;

/// Marks the file as Warren's (`WRRN`), so that no other SQLite database is ever written to.
const APPLICATION_ID: i32 = 0x5752_524e;

/// Number, name, text; the numbers rise.
const ALL: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../../migrations/sqlite/0001_initial.sql")),
    (2, "events_without_seq_index", include_str!("../../../migrations/sqlite/0002_events_without_seq_index.sql")),
    (3, "media", include_str!("../../../migrations/sqlite/0003_media.sql")),
    (4, "message_members", include_str!("../../../migrations/sqlite/0004_message_members.sql")),
    (5, "numbers_and_connections", include_str!("../../../migrations/sqlite/0005_numbers_and_connections.sql")),
    (6, "queue", include_str!("../../../migrations/sqlite/0006_queue.sql")),
    (7, "webhooks", include_str!("../../../migrations/sqlite/0007_webhooks.sql")),
    (8, "seed_webhooks", include_str!("../../../migrations/sqlite/0008_seed_webhooks.sql")),
    (9, "contacts", include_str!("../../../migrations/sqlite/0009_contacts.sql")),
    (10, "log_head_after", include_str!("../../../migrations/sqlite/0010_log_head_after.sql")),
];

/// Checks what was applied, and applies the rest if allowed.
pub(crate) fn settle(conn: &Connection, now: Timestamp, allowed: bool) -> Result<(), OpenError> {
    let applied = applied(conn)?;
    let known = ALL.last().map_or(0, |(number, _, _)| *number);
    for (version, checksum) in &applied {
        match ALL.iter().find(|(number, _, _)| number == version) {
            None => return Err(OpenError::Newer { found: *version, known }),
            Some((_, _, sql)) if checksum_of(sql) != *checksum => return Err(OpenError::Edited { version: *version }),
            Some(_) => {}
        }
    }
    let pending: Vec<_> = ALL.iter().filter(|(number, _, _)| applied.iter().all(|(version, _)| version != number)).collect();
    if !pending.is_empty() && !allowed {
        return Err(OpenError::Pending { count: pending.len() });
    }
    for (number, name, sql) in pending {
        apply(conn, now, *number, name, sql)?;
    }
    Ok(())
}

/// How many migrations there are: what a store that does not exist yet lacks.
pub(crate) fn count() -> usize {
    ALL.len()
}

/// What was applied, if this is a Warren database or an empty one.
fn applied(conn: &Connection) -> Result<Vec<(i64, String)>, OpenError> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let table = conn.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(())).optional()?;
    if id == 0 && table.is_none() {
        return Ok(Vec::new());
    }
    if id != APPLICATION_ID {
        return Err(OpenError::NotWarren);
    }
    let mut statement = conn.prepare("SELECT version, checksum FROM migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn apply(conn: &Connection, now: Timestamp, number: i64, name: &str, sql: &str) -> Result<(), OpenError> {
    let transaction = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    conn.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID};
         CREATE TABLE IF NOT EXISTS migrations (
             version INTEGER PRIMARY KEY NOT NULL,
             name TEXT NOT NULL,
             checksum TEXT NOT NULL,
             applied_at INTEGER NOT NULL
         ) STRICT;"
    ))?;
    // Another process may have been faster.
    let done = conn.query_row("SELECT 1 FROM migrations WHERE version = ?1", [number], |_| Ok(())).optional()?;
    if done.is_none() {
        conn.execute_batch(sql)?;
        conn.execute(
            "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
            params![number, name, checksum_of(sql), now.as_millis()],
        )?;
        tracing::info!(number, name, "a migration was applied");
    }
    transaction.commit()?;
    Ok(())
}

fn checksum_of(sql: &str) -> String {
    hex::encode(Sha256::digest(sql.as_bytes()))
}
