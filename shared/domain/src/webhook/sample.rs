//! Events that did not happen, for a tenant to try its receiver with.

use crate::content::{Content, Edit, Reaction, Target, Text};
use crate::event::{NewEvent, StatusChange};
use crate::group::{GroupChange, GroupUpdate};
use crate::media::MediaOutcome;
use crate::message::Times;
use crate::{
    Delivery, Direction, EventType, Health, InstanceId, InstanceState, MediaId, Message, MessageId, MessageStatus, Person,
    Restriction, RestrictionReason, RestrictionScope, TenantId, Timestamp,
};
use serde_json::{Map, Value, json};

const CHAT: &str = "15550100@s.whatsapp.net";
const WHATSAPP_ID: &str = "3EB00000000000000000";
const NOBODY: [u8; 16] = [0; 16];

/// An event of this type as it could be: nobody's, with made-up data. `None` for an ephemeral type, which is never posted.
#[must_use]
pub fn sample(kind: EventType, at: Timestamp) -> Option<NewEvent> {
    let message_id = MessageId::from_bytes(NOBODY);
    Some(match kind {
        EventType::InstanceStateChanged => NewEvent::state_changed(InstanceState::Online, None, at),
        EventType::InstanceHealthChanged => NewEvent::health_changed(&Health::OK, at),
        EventType::PairingSucceeded => NewEvent::new(
            kind,
            at,
            members([("phone", "15550199"), ("jid", "15550199:1@s.whatsapp.net"), ("push_name", "Sample")]),
        ),
        EventType::PairingFailed => NewEvent::new(kind, at, members([("reason", "timed_out")])),
        EventType::MessageReceived => {
            received(Content::Text { text: Text { body: "This is a sample.".to_owned(), ..Text::default() } }, at)
        }
        EventType::MessageReaction => {
            received(Content::Reaction { reaction: Reaction { target: target(), emoji: "👍".to_owned() } }, at)
        }
        EventType::MessageEdited => {
            received(Content::Edit { edit: Edit { target: target(), body: "This was a sample.".to_owned() } }, at)
        }
        EventType::MessageRevoked => received(Content::Revoke { revoke: target() }, at),
        EventType::MessageStatus => NewEvent::message_status(&StatusChange {
            message: message_id,
            whatsapp_id: WHATSAPP_ID.to_owned(),
            chat: CHAT.to_owned(),
            status: MessageStatus::Delivered,
            reason: None,
            at,
        }),
        EventType::MessageUndecryptable => NewEvent::message_undecryptable(WHATSAPP_ID, CHAT, CHAT, "undecryptable", at),
        EventType::MediaUpdated => {
            let outcome = MediaOutcome::Failed(crate::media::MediaFailure::Expired);
            NewEvent::media_updated(MediaId::from_bytes(NOBODY), Some(message_id), &outcome, at)
        }
        EventType::GroupUpdated => NewEvent::group_updated(
            &GroupUpdate {
                group: "120363000000000000@g.us".to_owned(),
                actor: Some(person()),
                change: GroupChange::Subject { subject: "Sample".to_owned() },
            },
            at,
        ),
        EventType::ContactUpdated => NewEvent::contact_updated(&person(), members([("about", "This is a sample.")]), at),
        EventType::AccountRestricted => NewEvent::account_restricted(
            &Restriction {
                reason: RestrictionReason::ReachoutLimit,
                scope: RestrictionScope::NewChats,
                until: None,
                restarts_at: at,
            },
            false,
            at,
        ),
        EventType::PairingQr | EventType::PairingCode | EventType::ChatTyping | EventType::PresenceUpdated => return None,
    })
}

fn person() -> Person {
    Person { jid: CHAT.to_owned(), pn: Some(CHAT.to_owned()), lid: None, push_name: Some("Sample".to_owned()) }
}

fn target() -> Target {
    Target { message_id: None, whatsapp_id: "3EB00000000000000001".to_owned(), from_me: false, author: None }
}

fn members<const N: usize>(pairs: [(&str, &str); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

fn received(content: Content, at: Timestamp) -> NewEvent {
    let message = Message {
        id: MessageId::from_bytes(NOBODY),
        tenant: TenantId::from_bytes(NOBODY),
        instance: InstanceId::from_bytes(NOBODY),
        direction: Direction::Inbound,
        whatsapp_id: WHATSAPP_ID.to_owned(),
        chat: CHAT.to_owned(),
        author: Some(person()),
        content,
        quoted: None,
        status: MessageStatus::Delivered,
        reason: None,
        delivery: Delivery::AtLeastOnce,
        expires_at: None,
        send_at: None,
        metadata: Map::new(),
        backfilled: false,
        times: Times { created: at, ..Times::default() },
    };
    NewEvent::message_received(&message, at)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_stored_type_has_a_sample_of_its_type() {
        for kind in EventType::ALL {
            let made = sample(kind, Timestamp::default());
            assert_eq!(made.is_none(), kind.is_ephemeral(), "{}", kind.as_str());
            if !kind.is_ephemeral() {
                assert_eq!(made.unwrap().kind, kind);
            }
        }
    }
}
