//! The event log, as readers see it.
//!
//! Persisted: the events themselves and the last position that retention removed. There is one writer, so positions are
//! committed in their order and every committed one is final: the head is the last position given.

use crate::rows::from_json;
use crate::{Sqlite, meta};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;
use warren_domain::{Event, EventId, EventType, InstanceId, MessageId, Result, TenantId};
use warren_ports::ledger::{EventFilter, Events, LogBounds, Page};

/// The last position that retention removed, in `meta`.
pub(crate) const REMOVED_TO: &str = "store.events_removed_to";
/// How many of the tenant's events one call looks at.
const STRETCH: u32 = 2_000;
/// How many bytes of events one call returns before it stops.
const PAGE_BYTES: usize = 4 << 20;

#[async_trait]
impl Events for Sqlite {
    async fn read_events(&self, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> Result<Page> {
        let filter = filter.clone();
        self.read(move |conn| Ok(page(conn, tenant, &filter, after, limit)?)).await
    }

    async fn log_bounds(&self) -> Result<LogBounds> {
        let log = self.log();
        self.read(move |conn| Ok(LogBounds { log, oldest: meta::number(conn, REMOVED_TO)?, head: head(conn)? })).await
    }

    async fn event_position(&self, tenant: TenantId, id: EventId) -> Result<Option<i64>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached("SELECT position FROM events WHERE id = ?1 AND tenant_id = ?2")?;
            Ok(statement.query_row(params![id.0.as_bytes(), tenant.as_bytes()], |row| row.get(0)).optional()?)
        })
        .await
    }
}

/// The last position ever given, whether or not its event is still there.
fn head(conn: &Connection) -> rusqlite::Result<i64> {
    let head = conn
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(head.unwrap_or(0))
}

fn page(conn: &Connection, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> rusqlite::Result<Page> {
    let instances: HashSet<InstanceId> = filter.instances.iter().copied().collect();
    let mut statement = conn.prepare_cached(
        "SELECT position, id, instance_id, seq, type, occurred_at, data FROM events INDEXED BY events_by_tenant
         WHERE tenant_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut rows = statement.query(params![tenant.as_bytes(), after, STRETCH])?;
    let mut page = Page { events: Vec::new(), next: after, more: false };
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if page.events.len() >= limit as usize || bytes >= PAGE_BYTES {
            page.more = true;
            return Ok(page);
        }
        looked_at += 1;
        page.next = row.get(0)?;
        let kind = event_type(row)?;
        let instance = InstanceId::from_bytes(row.get(2)?);
        if (instances.is_empty() || instances.contains(&instance))
            && (filter.types.is_empty() || filter.types.contains(&kind))
        {
            bytes += row.get_ref(6)?.as_str()?.len();
            page.events.push(event(row, tenant, instance, kind)?);
        }
    }
    if looked_at == STRETCH {
        page.more = true;
    } else {
        // The tenant has nothing up to the head: a quiet tenant's cursor does not fall behind what retention removes.
        page.next = after.max(head(conn)?);
    }
    Ok(page)
}

fn event_type(row: &Row<'_>) -> rusqlite::Result<EventType> {
    EventType::parse(row.get_ref(4)?.as_str()?).ok_or_else(|| crate::rows::corrupt(4, rusqlite::types::Type::Text))
}

fn event(row: &Row<'_>, tenant: TenantId, instance: InstanceId, kind: EventType) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(MessageId::from_bytes(row.get(1)?)),
        seq: row.get(3)?,
        position: row.get(0)?,
        kind,
        tenant,
        instance,
        occurred_at: crate::rows::time(row, 5)?,
        data: from_json(row, 6)?,
    })
}
