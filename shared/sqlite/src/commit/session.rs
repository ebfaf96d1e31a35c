//! Session state: records by kind and key, sealed before they come here.

use super::changed;
use crate::counters::{Subject, fail_open};
use crate::transaction::Tx;
use rusqlite::{Result, params};
use warren_domain::{FailureReason, Timestamp};
use warren_ports::ledger::{Outcome, Record, RecordKind, after_prefix};

pub(super) fn put(tx: &Tx<'_>, subject: Subject, records: &[Record]) -> Result<Outcome> {
    let mut statement = tx.conn.prepare_cached(
        "INSERT INTO session_records (instance_id, kind, key, tenant_id, mark, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (instance_id, kind, key) DO UPDATE SET mark = excluded.mark, value = excluded.value",
    )?;
    for record in records {
        statement.execute(params![
            subject.instance.as_bytes(),
            record.kind as u8,
            record.key,
            subject.tenant.as_bytes(),
            record.mark,
            record.value,
        ])?;
    }
    Ok(changed(records.len()))
}

pub(super) fn mark(tx: &Tx<'_>, subject: Subject, kind: RecordKind, keys: &[Vec<u8>], mark: i64) -> Result<Outcome> {
    let mut statement =
        tx.conn.prepare_cached("UPDATE session_records SET mark = ?4 WHERE instance_id = ?1 AND kind = ?2 AND key = ?3")?;
    let mut rows = 0;
    for key in keys {
        rows += statement.execute(params![subject.instance.as_bytes(), kind as u8, key, mark])?;
    }
    Ok(changed(rows))
}

pub(super) fn delete(tx: &Tx<'_>, subject: Subject, kind: RecordKind, keys: &[Vec<u8>]) -> Result<Outcome> {
    let mut statement =
        tx.conn.prepare_cached("DELETE FROM session_records WHERE instance_id = ?1 AND kind = ?2 AND key = ?3")?;
    let mut rows = 0;
    for key in keys {
        rows += statement.execute(params![subject.instance.as_bytes(), kind as u8, key])?;
    }
    Ok(changed(rows))
}

pub(super) fn delete_prefix(tx: &Tx<'_>, subject: Subject, kind: RecordKind, prefix: &[u8]) -> Result<Outcome> {
    let rows = match after_prefix(prefix) {
        Some(end) => tx
            .conn
            .prepare_cached("DELETE FROM session_records WHERE instance_id = ?1 AND kind = ?2 AND key >= ?3 AND key < ?4")?
            .execute(params![subject.instance.as_bytes(), kind as u8, prefix, end])?,
        None => tx
            .conn
            .prepare_cached("DELETE FROM session_records WHERE instance_id = ?1 AND kind = ?2 AND key >= ?3")?
            .execute(params![subject.instance.as_bytes(), kind as u8, prefix])?,
    };
    Ok(changed(rows))
}

pub(super) fn delete_marked_before(tx: &Tx<'_>, subject: Subject, kind: RecordKind, before: i64) -> Result<Outcome> {
    let rows = tx
        .conn
        .prepare_cached(
            "DELETE FROM session_records INDEXED BY session_records_by_mark
             WHERE instance_id = ?1 AND kind = ?2 AND mark > 0 AND mark < ?3",
        )?
        .execute(params![subject.instance.as_bytes(), kind as u8, before])?;
    Ok(changed(rows))
}

pub(super) fn forget(tx: &Tx<'_>, subject: Subject, failing: Option<Timestamp>) -> Result<Outcome> {
    let mut rows = tx
        .conn
        .prepare_cached("DELETE FROM session_records WHERE instance_id = ?1")?
        .execute(params![subject.instance.as_bytes()])?;
    if let Some(at) = failing {
        rows += fail_open(tx, subject, FailureReason::LoggedOut, at)?;
    }
    Ok(changed(rows))
}
