//! How events are written and signed for a webhook.

use super::Webhook;
use crate::{Event, EventType, InstanceId, event::EventView, event::NewEvent, seed};

/// How events are written and signed for a webhook; fixed when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As they are in the log, signed as Standard Webhooks says.
    #[default]
    Standard,
    /// What came in to this instance, written and signed as the seed does: the instance's own setting there, so at most one an
    /// instance. Messages that the account wrote itself are not posted.
    Seed(InstanceId),
}

impl Format {
    /// The instance whose setting it is.
    #[must_use]
    pub const fn instance(self) -> Option<InstanceId> {
        match self {
            Self::Standard => None,
            Self::Seed(instance) => Some(instance),
        }
    }

    /// The format of a webhook that is the setting of this instance, or of none.
    #[must_use]
    pub const fn of(instance: Option<InstanceId>) -> Self {
        match instance {
            None => Self::Standard,
            Some(instance) => Self::Seed(instance),
        }
    }

    /// Whether an event of this type can be written so.
    #[must_use]
    pub fn can_write(self, kind: EventType) -> bool {
        match self {
            Self::Standard => !kind.is_ephemeral(),
            Self::Seed(_) => seed::MESSAGES.contains(&kind),
        }
    }
}

impl Webhook {
    /// Whether an event is for it. Ephemeral events never are.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        self.format.can_write(event.kind)
            && (self.events.is_empty() || self.events.contains(&event.kind))
            && (self.instances.is_empty() || self.instances.contains(&event.instance))
            && !(self.format != Format::Standard && seed::is_own(&event.data))
    }

    /// The body of the posts of an event of a log: the same in every try.
    #[must_use]
    pub fn body(&self, log: u64, event: &Event) -> String {
        match self.format {
            // Plain data with text keys: it always has a text.
            Format::Standard => EventView::stored(log, event).json().unwrap_or_default(),
            Format::Seed(_) => seed::posted(event.instance, event.occurred_at, &event.data),
        }
    }

    /// The body of the post of an event that did not happen.
    #[must_use]
    pub fn sample_body(&self, event: &NewEvent, instance: InstanceId) -> String {
        match self.format {
            Format::Standard => EventView::unplaced(event, instance).json().unwrap_or_default(),
            Format::Seed(instance) => seed::posted(instance, event.occurred_at, &event.data),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        EventId, TenantId, Timestamp, WebhookId,
        webhook::{Secret, Secrets, Standing, sample},
    };
    use serde_json::Value;

    const ID: InstanceId = InstanceId::from_bytes([7; 16]);

    fn webhook(format: Format) -> Webhook {
        Webhook {
            id: WebhookId::generate(),
            tenant: TenantId::from_bytes([2; 16]),
            url: String::new(),
            description: None,
            events: Vec::new(),
            instances: format.instance().into_iter().collect(),
            headers: Vec::new(),
            secrets: Secrets::new(Secret::generate()),
            format,
            disabled: None,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            position: 0,
            standing: Standing::default(),
        }
    }

    fn event(kind: EventType, instance: InstanceId) -> Event {
        let made = sample(kind, Timestamp::default()).unwrap();
        Event {
            tenant: TenantId::from_bytes([2; 16]),
            id: EventId::generate(),
            instance,
            seq: 1,
            position: 1,
            kind,
            occurred_at: made.occurred_at,
            data: made.data,
        }
    }

    #[test]
    fn the_seeds_format_is_for_messages_that_came_in_to_its_instance() {
        let seed = webhook(Format::Seed(ID));
        assert!(seed.wants(&event(EventType::MessageReceived, ID)));
        assert!(seed.wants(&event(EventType::MessageReaction, ID)));
        assert!(!seed.wants(&event(EventType::MessageStatus, ID)));
        assert!(!seed.wants(&event(EventType::MessageReceived, InstanceId::from_bytes([8; 16]))));
        let mut own = event(EventType::MessageReceived, ID);
        own.data.insert("from_me".into(), Value::Bool(true));
        assert!(!seed.wants(&own) && webhook(Format::Standard).wants(&own));
    }

    #[test]
    fn a_body_is_as_its_format_has_it() {
        let event = event(EventType::MessageReceived, ID);
        let read = |format| serde_json::from_str::<Value>(&webhook(format).body(1, &event)).unwrap();
        assert_eq!(read(Format::Standard).get("type").unwrap(), "message.received");
        let seed = read(Format::Seed(ID));
        assert_eq!(seed.get("event").unwrap(), "incoming_message");
        assert_eq!(seed.pointer("/data/message").unwrap(), "This is a sample.");
    }
}
