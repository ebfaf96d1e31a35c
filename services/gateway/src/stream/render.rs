//! The event as every reader sees it.

use crate::{
    problem::{Problem, Result},
    stream::cursor::Cursor,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warren_domain::{Event, EventId, EventType, InstanceId, Timestamp};
use warren_ports::bus::Ephemeral;

/// What happened, the same in the log and in a stream.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, examples(json!({
    "id": "evt_0192f0c1a2b37d4e8f90a1b2c3d4e57a",
    "seq": 42,
    "type": "message.status",
    "instance_id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
    "occurred_at": "2026-11-22T09:30:00.000Z",
    "cursor": "AQAAAAAAAAABAAAAAAAAACo",
    "data": {
        "message_id": "0192f0c1a2b37d4e8f90a1b2c3d4e53c",
        "whatsapp_id": "3EB0F0E1D2C3B4A5968778",
        "chat": "628123456789@s.whatsapp.net",
        "status": "delivered",
        "reason": null
    }
})))]
pub(crate) struct View<'a> {
    #[schema(pattern = "^evt_[0-9a-f]{32}$")]
    id: String,
    /// Its place among the instance's events, gapless from 1; an ephemeral event has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(rename = "type")]
    kind: EventType,
    instance_id: InstanceId,
    occurred_at: Timestamp,
    /// Where it is in the log: pass it as `after` to go on behind it; an ephemeral event has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// The particulars, as the type has them. Of a message: the message with its `message_id`, `type` and the object of that
    /// name.
    #[schema(value_type = Object)]
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
