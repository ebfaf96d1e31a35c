//! The event log, as readers see it, up to its horizon.
//!
//! A cursor is one position, and whoever reads on from it must never miss an event. Positions come from a sequence, so they
//! are given in an order in which transactions do not end: 11 may be visible while 10 is still under way. The **head** is the
//! last position below which nothing can appear any more, and no reader looks beyond it.
//!
//! How it is found (`log_head()` in the schema): whoever inserts events takes, before its first position is given, a shared
//! advisory lock whose key is the last position given until then, L. Everything that it will be given is above L, because a
//! sequence only grows. The lock goes when its transaction ends. A reader reads the last position given, S, and *then* the
//! keys of the locks that are held; the head is the least of S and those keys, and rows are read by a later statement.
//!
//! Why nothing can appear below: let W be a writer with a position p <= S. It was given p before the reader read S, and took
//! its lock before that. When the reader looks at the locks, either W still holds it, and the head is at most W's L, which is
//! below p; or W has ended, and as a transaction becomes visible before its locks go, every later statement sees what W
//! committed. A writer whose positions are all above S is above the head anyway, whatever its lock says. A transaction that
//! was undone leaves a gap, and nothing waits for it.
//!
//! The insert itself cannot forget its lock: a trigger before every statement that inserts events takes it. Nothing but
//! writers of events holds the head up (no long read, no other database of the server, no index being built), and these are
//! cut off by the server after two seconds.
//!
//! The locks of the whole server are dear to look at, and mostly need not be: a position is given once, so that nothing can
//! appear any more below one that is reached from a known head without a gap. Readers go on from the head that they know over
//! what is visible (`log_head_after()`), and look at the locks where a gap hides something, or much came.
//!
//! Per instance, positions are in the order of `seq`: both are given under the lock of the instance's counter row
//! (`counters.rs`).
//!
//! Persisted: the events, and the last position that retention removed.

mod head;
mod partitions;
mod retention;

pub(crate) use head::Heads;
pub(crate) use partitions::{extend, reach};
pub(crate) use retention::{expire, oldest_stored_at};

use crate::failure::{Stop, corrupt};
use crate::rows::{Id, from_json, id, time, uuids};
use crate::scope::Enter;
use crate::{Postgres, meta};
use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;
use warren_domain::{Event, EventId, EventType, Result, TenantId};
use warren_ports::ledger::{EventFilter, Events, LogBounds, Page};

/// The last position that retention removed, in `meta`.
pub(crate) const REMOVED_TO: &str = "store.events_removed_to";
/// How many of the tenant's events one call looks at.
const STRETCH: u32 = 2_000;
/// How many bytes of events one call returns before it stops.
const PAGE_BYTES: usize = 4 << 20;

#[async_trait]
impl Events for Postgres {
    async fn read_events(&self, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> Result<Page> {
        self.reading(|| page(self, tenant, filter, after, limit)).await
    }

    async fn log_bounds(&self) -> Result<LogBounds> {
        self.reading(|| async {
            let head = self.heads().head(self.pool()).await?;
            let oldest = meta::number(self.pool(), REMOVED_TO).await?;
            // Both only grow, and the head was read first.
            Ok(LogBounds { log: self.log(), oldest, head: head.max(oldest) })
        })
        .await
    }

    async fn event_position(&self, tenant: TenantId, id: EventId) -> Result<Option<i64>> {
        self.reading(|| async {
            let position = sqlx::query_scalar("SELECT position FROM events WHERE id = $1 AND tenant_id = $2")
                .bind(id.0.uuid())
                .bind(tenant.scope())
                .fetch_optional(self.pool())
                .await?;
            Ok(position)
        })
        .await
    }
}

async fn page(store: &Postgres, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> Result<Page, Stop> {
    // A statement of its own, before the rows: what it says is visible to the next.
    let head = store.heads().head(store.pool()).await?;
    let mut page = Page { events: Vec::new(), next: after, more: false };
    if head <= after {
        return Ok(page);
    }
    let types: Vec<&str> = filter.types.iter().map(|kind| kind.as_str()).collect();
    let everything = filter.instances.is_empty() && types.is_empty();
    // One more than asked for, to know whether there is more.
    let stretch = if everything { limit.saturating_add(1).min(STRETCH) } else { STRETCH };
    let mut rows = sqlx::query(
        "SELECT position, id, instance_id, seq, type, occurred_at,
                CASE WHEN (cardinality($5::UUID[]) = 0 OR instance_id = ANY($5))
                          AND (cardinality($6::TEXT[]) = 0 OR type = ANY($6)) THEN data END
         FROM events WHERE tenant_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
    )
    .bind(tenant.scope())
    .bind(after)
    .bind(head)
    .bind(i64::from(stretch))
    .bind(uuids(&filter.instances))
    .bind(types)
    .fetch(store.pool());
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await? {
        if page.events.len() >= limit as usize || bytes >= PAGE_BYTES {
            page.more = true;
            return Ok(page);
        }
        looked_at += 1;
        page.next = row.try_get(0)?;
        if let Some(data) = row.try_get::<Option<&str>, _>(6)? {
            bytes += data.len();
            page.events.push(event(&row, tenant)?);
        }
    }
    if looked_at == stretch {
        page.more = true;
    } else {
        // The tenant has nothing up to the head: a quiet tenant's cursor does not fall behind what retention removes.
        page.next = head;
    }
    Ok(page)
}

fn event(row: &PgRow, tenant: TenantId) -> Result<Event, sqlx::Error> {
    Ok(Event {
        id: EventId(id(row, 1)?),
        seq: row.try_get(3)?,
        position: row.try_get(0)?,
        kind: EventType::parse(row.try_get(4)?).ok_or_else(|| corrupt(4))?,
        tenant,
        instance: id(row, 2)?,
        occurred_at: time(row, 5)?,
        data: from_json(row, 6)?,
    })
}
