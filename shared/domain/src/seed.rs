//! Messages as the product that Warren grew from (the seed) tells them: `incoming_message`, over its WebSocket and its webhooks.

use crate::{EventType, InstanceId, Recipient, Timestamp};
use serde_json::{Map, Value, json};

/// What the seed calls an incoming message: every message that came in, the account's own of other devices too.
pub const MESSAGES: [EventType; 4] =
    [EventType::MessageReceived, EventType::MessageReaction, EventType::MessageEdited, EventType::MessageRevoked];

/// Whether the account wrote it itself, on another of its devices. `data` is that of an event of [`MESSAGES`].
#[must_use]
pub fn is_own(data: &Map<String, Value>) -> bool {
    data.get("from_me").and_then(Value::as_bool).unwrap_or_default()
}

/// The particulars of a message that came in, from the `data` of its event; `at` is when it happened here.
#[must_use]
pub fn incoming_message(instance: InstanceId, at: Timestamp, data: &Map<String, Value>) -> Value {
    let text = |pointer: &str| {
        let mut parts = pointer.split('.');
        let first = parts.next().and_then(|name| data.get(name));
        parts.fold(first, |value, name| value?.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let words = ["text.body", "image.caption", "video.caption"].map(text);
    // By number where it is known, as programs of the seed read it.
    let from = Some(text("from.pn")).filter(|number| !number.is_empty()).unwrap_or_else(|| text("from.jid"));
    let sent_at = text("sent_at").parse().unwrap_or(at);
    json!({
        "event": "incoming_message",
        "instance_id": instance,
        "from": from,
        "from_me": is_own(data),
        "message": words.into_iter().find(|words| !words.is_empty()).unwrap_or_default(),
        "timestamp": sent_at.as_seconds(),
        "is_group": Recipient::is_group(text("chat")),
        "message_id": text("whatsapp_id"),
        "push_name": text("from.push_name"),
    })
}

/// The body of a webhook's post: the same particulars, without the event's name, which stands beside them.
pub(crate) fn posted(instance: InstanceId, at: Timestamp, data: &Map<String, Value>) -> String {
    let mut message = incoming_message(instance, at, data);
    let event = message.as_object_mut().and_then(|members| members.remove("event"));
    json!({"event": event, "timestamp": at, "data": message}).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ID: InstanceId = InstanceId::from_bytes([7; 16]);
    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn data(more: Value) -> Map<String, Value> {
        let mut data = json!({
            "message_id": "0", "whatsapp_id": "3EB0", "chat": "628222@s.whatsapp.net", "sent_at": "2026-09-21T14:13:19.500Z",
            "from": {"jid": "77@lid", "pn": "628222@s.whatsapp.net", "lid": "77@lid", "push_name": "Budi"},
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data.as_object().unwrap().clone()
    }

    #[test]
    fn a_message_is_told_with_its_words() {
        let message = |more: Value| incoming_message(ID, AT, &data(more));
        let expected = json!({
            "event": "incoming_message", "instance_id": ID, "from": "628222@s.whatsapp.net", "from_me": false,
            "message": "halo", "timestamp": 1_789_999_999, "is_group": false, "message_id": "3EB0", "push_name": "Budi",
        });
        assert_eq!(message(json!({"type": "text", "text": {"body": "halo"}})), expected);
        let words = |more: Value| message(more).get("message").unwrap().as_str().unwrap().to_owned();
        assert_eq!(words(json!({"type": "image", "image": {"caption": "look"}})), "look");
        assert_eq!(words(json!({"type": "video", "video": {"caption": "see"}})), "see");
        assert_eq!(words(json!({"type": "document", "document": {"caption": "read"}})), "");
        let group = message(json!({"chat": "1@g.us", "from_me": true, "type": "unsupported"}));
        assert_eq!((group.get("is_group"), group.get("from_me")), (Some(&json!(true)), Some(&json!(true))));
    }

    #[test]
    fn a_post_names_the_event_once() {
        let text = posted(ID, AT, &data(json!({"type": "text", "text": {"body": "halo"}})));
        let expected = json!({
            "event": "incoming_message",
            "timestamp": "2026-09-21T14:13:20.000Z",
            "data": {
                "instance_id": ID, "from": "628222@s.whatsapp.net", "from_me": false, "message": "halo",
                "timestamp": 1_789_999_999, "is_group": false, "message_id": "3EB0", "push_name": "Budi",
            },
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
