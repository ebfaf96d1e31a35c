//! Everything the store holds, as it moves to another kind of store ([`warren_ports::moving`]).

use crate::Sqlite;
use crate::failure::Stop;
use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use warren_domain::{Error, Result};
use warren_ports::moving::{CHUNK, Chunk, Export, Moved, TABLES};

#[async_trait]
impl Export for Sqlite {
    async fn export(&self, chunks: mpsc::Sender<Chunk>) -> Result<Moved> {
        let store = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // One transaction: one moment.
            let mut conn = store.long_reader()?;
            let snapshot = conn.transaction()?;
            let mut moved = Moved::default();
            for table in TABLES {
                send_table(&snapshot, table, &chunks, &mut moved)?;
            }
            Ok(moved)
        });
        match reading.await.map_err(Error::internal)? {
            Ok(moved) => Ok(moved),
            Err(Stop::Verdict(error)) => Err(error),
            Err(Stop::Sql(error)) => Err(Error::internal(error)),
        }
    }
}

fn send_table(conn: &Connection, table: &str, sink: &mpsc::Sender<Chunk>, moved: &mut Moved) -> Result<(), Stop> {
    // The name is one of ours.
    let mut statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    loop {
        let chunk = next_chunk(&mut rows, &columns)?;
        if chunk.is_empty() {
            return Ok(());
        }
        count(table, &chunk, moved);
        let sent = sink.blocking_send(Chunk { table: table.to_owned(), rows: chunk });
        sent.map_err(|_| Stop::Verdict(Error::unavailable("nobody takes what is exported")))?;
    }
}

fn next_chunk(rows: &mut Rows<'_>, columns: &[String]) -> rusqlite::Result<Vec<Map<String, Value>>> {
    let mut chunk = Vec::new();
    while chunk.len() < CHUNK {
        let Some(row) = rows.next()? else { break };
        chunk.push(read(row, columns)?);
    }
    Ok(chunk)
}

fn read(row: &Row<'_>, columns: &[String]) -> rusqlite::Result<Map<String, Value>> {
    let mut values = Map::new();
    for (place, column) in columns.iter().enumerate() {
        let value = match row.get_ref(place)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
            ValueRef::Blob(bytes) => format!("\\x{}", hex::encode(bytes)).into(),
        };
        values.insert(column.clone(), value);
    }
    Ok(values)
}

fn count(table: &str, rows: &[Map<String, Value>], moved: &mut Moved) {
    let number = rows.len() as u64;
    moved.rows += number;
    match table {
        "tenants" => moved.tenants += number,
        "instances" => moved.instances += number,
        "messages" => {
            let is_open =
                |row: &&Map<String, Value>| row.get("status").and_then(Value::as_i64).is_some_and(|status| status < 2);
            moved.open_messages += rows.iter().filter(is_open).count() as u64;
        }
        _ => {}
    }
}
