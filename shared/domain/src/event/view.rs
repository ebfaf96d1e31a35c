//! The event as every reader sees it: in the log, in a stream and in a webhook.

use super::{Cursor, Event, EventId, EventType, NewEvent};
use crate::{InstanceId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What happened, the same in the log, in a stream and in a webhook.
#[derive(Debug, Serialize, ToSchema)]
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
pub struct EventView<'a> {
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

impl<'a> EventView<'a> {
    /// A stored event of a log.
    #[must_use]
    pub fn stored(log: u64, event: &'a Event) -> Self {
        Self {
            id: event.id.to_string(),
            seq: Some(event.seq),
            kind: event.kind,
            instance_id: event.instance,
            occurred_at: event.occurred_at,
            cursor: Some(Cursor { log, position: event.position }.to_string()),
            data: &event.data,
        }
    }

    /// An event that is not stored, under an id of its own: without a place.
    #[must_use]
    pub fn ephemeral(kind: EventType, instance: InstanceId, at: Timestamp, data: &'a Map<String, Value>) -> Self {
        let id = EventId::generate().to_string();
        Self { id, seq: None, kind, instance_id: instance, occurred_at: at, cursor: None, data }
    }

    /// An event that no store gave a place: a sample.
    #[must_use]
    pub fn unplaced(event: &'a NewEvent, instance: InstanceId) -> Self {
        Self { id: event.id.to_string(), ..Self::ephemeral(event.kind, instance, event.occurred_at, &event.data) }
    }

    /// As JSON text.
    ///
    /// # Errors
    /// None in practice: it is plain data with text keys.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}
