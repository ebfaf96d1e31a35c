//! The event as every reader sees it.

use crate::{
    problem::{Problem, Result},
    stream::cursor::Cursor,
};
use serde::Serialize;
use serde_json::{Map, Value};
use warren_domain::{Event, EventId, EventType, InstanceId, Timestamp};
use warren_ports::bus::Ephemeral;

#[derive(Serialize)]
struct View<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(rename = "type")]
    kind: EventType,
    instance_id: InstanceId,
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    data: &'a Map<String, Value>,
}

/// A stored event of this log.
pub(crate) fn stored(log: u64, event: &Event) -> Result<String> {
    let view = View {
        id: event.id.to_string(),
        seq: Some(event.seq),
        kind: event.kind,
        instance_id: event.instance,
        occurred_at: event.occurred_at,
        cursor: Some(Cursor { log, position: event.position }.to_string()),
        data: &event.data,
    };
    serde_json::to_string(&view).map_err(Problem::internal)
}

/// An event that is not stored: without a place.
pub(crate) fn ephemeral(event: &Ephemeral) -> Result<String> {
    let view = View {
        id: EventId::generate().to_string(),
        seq: None,
        kind: event.kind,
        instance_id: event.instance,
        occurred_at: event.occurred_at,
        cursor: None,
        data: &event.data,
    };
    serde_json::to_string(&view).map_err(Problem::internal)
}
