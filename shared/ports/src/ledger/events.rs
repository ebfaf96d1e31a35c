//! The event log, as readers see it.

use async_trait::async_trait;
use warren_domain::{Event, EventId, EventType, InstanceId, Result, TenantId};

/// What a reader wants to see; every part that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these instances; empty means all of the tenant.
    pub instances: Vec<InstanceId>,
    /// Of these types; empty means all.
    pub types: Vec<EventType>,
}

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events that pass the filter, by position.
    pub events: Vec<Event>,
    /// Where to go on: everything up to here was looked at. Never before the position asked for.
    pub next: i64,
    /// Whether the log went on beyond `next` when it was read.
    pub more: bool,
}

/// How far the log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// Names this log: another store has another, and its cursors mean nothing here.
    pub log: u64,
    /// The first position that a reader may resume after without missing anything that retention removed.
    pub oldest: i64,
    /// The last position that can no longer be overtaken by an earlier one.
    pub head: i64,
}

/// The event log. A stream is always served from it, in the order of positions; the bus only says when to look.
#[async_trait]
pub trait Events: Send + Sync {
    /// The tenant's events after `after`, at most `limit` of them, by position; scans a bounded stretch. Whoever reads on
    /// from `next` until `more` is false has seen every event below `head` exactly once; per instance, in `seq` order
    /// without gaps (before filters).
    async fn read_events(&self, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> Result<Page>;
    /// How far the log reaches now.
    async fn log_bounds(&self) -> Result<LogBounds>;
    /// The position of the tenant's event with this id, if it is still there.
    async fn event_position(&self, tenant: TenantId, id: EventId) -> Result<Option<i64>>;
}
