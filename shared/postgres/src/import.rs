//! Filling an empty store with what another kind of store held ([`warren_ports::moving`]).
//!
//! Each chunk is one statement: the rows come as JSON, and Postgres reads them as rows of the table, so that a column of the
//! same name needs no word here. What differs is named: what is open has a row in `queue`, members carry their tenant.

use crate::failure::Stop;
use crate::{Postgres, meta};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::mpsc;
use warren_domain::{Error, ErrorKind, Result};
use warren_ports::moving::{CHUNK, Chunk, Import, Moved, TABLES};

/// Facts of the store itself that must be the same in both, because ids of both live on.
const SAME: [&str; 3] = ["store.network", "store.shards", "store.shard_hash"];
/// Facts that move with the rows: which log it is, so that cursors stay good, and how much of it retention removed.
const LOG: [&str; 2] = ["store.log", crate::events::REMOVED_TO];

#[async_trait]
impl Import for Postgres {
    async fn import(&self, mut chunks: mpsc::Receiver<Result<Chunk>>) -> Result<Moved> {
        let mut conn = self.long_connection().await.map_err(failed)?;
        let taken = take_all(&mut conn, &mut chunks).await;
        // Its transaction, if one is open, ends with it.
        let _ = conn.close().await;
        match taken {
            Ok(moved) => Ok(moved),
            Err(Stop::Verdict(error)) => Err(error),
            Err(Stop::Sql(error)) => Err(failed(error)),
        }
    }
}

/// A value that cannot be is the file's fault, everything else is not.
fn failed(error: sqlx::Error) -> Error {
    let is_data = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| {
        // Data exceptions, and violated constraints.
        code.starts_with("22") || code.starts_with("23")
    });
    match is_data {
        true => bad("It holds a row that cannot be.").with_source(error),
        false => Error::unavailable("The store did not take everything.").with_source(error),
    }
}

fn bad(detail: &str) -> Error {
    Error::invalid("bad_export", detail)
}

async fn take_all(conn: &mut PgConnection, chunks: &mut mpsc::Receiver<Result<Chunk>>) -> Result<Moved, Stop> {
    let mut transaction = conn.begin().await?;
    // Nobody else fills it meanwhile.
    sqlx::query("LOCK TABLE tenants IN EXCLUSIVE MODE").execute(&mut *transaction).await?;
    let full: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM tenants) OR EXISTS (SELECT FROM instances)")
        .fetch_one(&mut *transaction)
        .await?;
    if full {
        return Err(Stop::Verdict(Error::new(
            ErrorKind::Conflict,
            "store_not_empty",
            "This store holds tenants already; import into an empty database.",
        )));
    }
    let mut moved = Moved::default();
    while let Some(chunk) = chunks.recv().await {
        let Chunk { table, rows } = chunk.map_err(Stop::Verdict)?;
        if rows.len() > CHUNK || !TABLES.contains(&table.as_str()) {
            return Err(Stop::Verdict(bad("It holds a table that does not belong to a ledger.")));
        }
        moved.rows += rows.len() as u64;
        match table.as_str() {
            "meta" => take_meta(&mut transaction, &rows).await?,
            "messages" => moved.open_messages += take_messages(&mut transaction, &rows).await?,
            "message_members" => take_members(&mut transaction, &rows).await?,
            "events" => take_events(&mut transaction, &rows).await?,
            "tenants" => moved.tenants += take_rows(&mut transaction, &table, &rows).await?,
            "instances" => moved.instances += take_rows(&mut transaction, &table, &rows).await?,
            _ => drop(take_rows(&mut transaction, &table, &rows).await?),
        }
    }
    // The next places and positions come after all that moved.
    sqlx::query("SELECT setval('message_orders', greatest((SELECT max(queue_order) FROM messages), 1))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT setval('event_positions', greatest((SELECT max(position) FROM events), $1, 1))")
        .bind(meta::number(&mut *transaction, crate::events::REMOVED_TO).await?)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(moved)
}

/// The rows as Postgres reads them, and which of the table's columns they have. Ids are bytes elsewhere and UUIDs here, whose
/// digits come without a mark.
async fn readable(conn: &mut PgConnection, table: &str, rows: &[Map<String, Value>]) -> Result<(Vec<String>, String), Stop> {
    let known: Vec<(String, bool)> = sqlx::query_as(
        "SELECT attname::TEXT, atttypid = 'uuid'::regtype FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
    )
    .bind(table)
    .fetch_all(conn)
    .await?;
    let mut rows = rows.to_vec();
    for row in &mut rows {
        for (name, _) in known.iter().filter(|(_, is_id)| *is_id) {
            if let Some(Value::String(text)) = row.get_mut(name)
                && let Some(digits) = text.strip_prefix("\\x")
            {
                *text = digits.to_owned();
            }
        }
    }
    // The names come from the catalogue, not from the file.
    let first = rows.first();
    let columns = known.into_iter().map(|(name, _)| name);
    let columns = columns.filter(|name| first.is_some_and(|first| first.contains_key(name))).collect();
    let text = serde_json::to_string(&rows).map_err(|error| Stop::Verdict(Error::internal(error)))?;
    Ok((columns, text))
}

/// Rows whose columns are the same in both kinds of store. A column that is only there is left out, one that is only here has
/// its default.
async fn take_rows(conn: &mut PgConnection, table: &str, rows: &[Map<String, Value>]) -> Result<u64, Stop> {
    let (columns, rows) = readable(&mut *conn, table, rows).await?;
    if columns.is_empty() {
        return Ok(0);
    }
    let columns = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let text =
        format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)");
    let stored = sqlx::query(AssertSqlSafe(text)).persistent(false).bind(rows).execute(conn).await?;
    Ok(stored.rows_affected())
}

async fn take_meta(conn: &mut PgConnection, rows: &[Map<String, Value>]) -> Result<(), Stop> {
    for row in rows {
        let (Some(name), Some(value)) = (row.get("name").and_then(Value::as_str), bytes(row.get("value"))) else {
            return Err(Stop::Verdict(bad("A fact about the store has no name or value.")));
        };
        if LOG.contains(&name) {
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name)
            .bind(value)
            .execute(&mut *conn)
            .await?;
            continue;
        }
        let stored = meta::put_if_absent(&mut *conn, name, &value).await?;
        if stored != value && (SAME.contains(&name) || !name.starts_with("store.")) {
            return Err(Stop::Verdict(Error::new(
                ErrorKind::Conflict,
                "other_store",
                format!("This store differs in what is fixed for ever ({name}); import into an empty database."),
            )));
        }
    }
    Ok(())
}

fn bytes(value: Option<&Value>) -> Option<Vec<u8>> {
    hex::decode(value?.as_str()?.strip_prefix("\\x")?).ok()
}

/// Messages; those that are open get their place in the queue. Whoever handed one did so as an owner over there: here any owner
/// comes later.
async fn take_messages(conn: &mut PgConnection, rows: &[Map<String, Value>]) -> Result<u64, Stop> {
    let (_, rows) = readable(&mut *conn, "messages", rows).await?;
    sqlx::query(
        "INSERT INTO messages (queue_order, id, tenant_id, instance_id, direction, status, delivery, backfilled, attempt,
             stored_at, created_at, expires_at, send_at, handed_epoch, handed_at, sent_at, delivered_at, read_at, played_at,
             failed_at, whatsapp_id, chat, author_jid, author_pn, author_lid, author_name, content, quoted, reason, metadata,
             secret, upload)
         SELECT queue_order, id, tenant_id, instance_id, direction, CASE WHEN status < 2 THEN 0 ELSE status END, delivery,
             backfilled, attempt, stored_at, created_at, expires_at, send_at, 0, handed_at, sent_at, delivered_at, read_at,
             played_at, failed_at, whatsapp_id, chat, author_jid, author_pn, author_lid, author_name, content, quoted, reason,
             metadata, secret, upload
         FROM json_populate_recordset(NULL::messages, $1::json)",
    )
    .bind(&rows)
    .execute(&mut *conn)
    .await?;
    let open = sqlx::query(
        "INSERT INTO queue (queue_order, instance_id, tenant_id, message_id, held, handed, attempt, handed_epoch, handed_at,
             send_at, expires_at, stanza)
         SELECT queue_order, instance_id, tenant_id, id, held = 1, status = 1, attempt, CASE WHEN status = 1 THEN 0 END,
             handed_at, send_at, expires_at, decode(substr(stanza, 3), 'hex')
         FROM json_to_recordset($1::json) AS m (queue_order BIGINT, instance_id UUID, tenant_id UUID, id UUID, held INTEGER,
             status INTEGER, direction INTEGER, attempt INTEGER, handed_at BIGINT, send_at BIGINT, expires_at BIGINT, stanza TEXT)
         WHERE direction = 1 AND status < 2",
    )
    .bind(&rows)
    .execute(conn)
    .await?;
    Ok(open.rows_affected())
}

async fn take_members(conn: &mut PgConnection, rows: &[Map<String, Value>]) -> Result<(), Stop> {
    let (_, rows) = readable(&mut *conn, "message_members", rows).await?;
    sqlx::query(
        "INSERT INTO message_members (queue_order, jid, tenant_id, pn, lid, delivered_at, read_at, played_at)
         SELECT r.queue_order, r.jid, m.tenant_id, r.pn, r.lid, r.delivered_at, r.read_at, r.played_at
         FROM json_populate_recordset(NULL::message_members, $1::json) r JOIN messages m ON m.queue_order = r.queue_order",
    )
    .bind(rows)
    .execute(conn)
    .await?;
    Ok(())
}

/// Events keep their positions: whoever holds a cursor reads on. The log gets partitions for all of them first.
async fn take_events(conn: &mut PgConnection, rows: &[Map<String, Value>]) -> Result<(), Stop> {
    let last = rows.iter().filter_map(|row| row.get("position")?.as_i64()).max().unwrap_or(0);
    crate::events::reach(&mut *conn, last).await?;
    take_rows(conn, "events", rows).await.map(drop)
}
