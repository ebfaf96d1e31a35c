//! What others do that is no message: they type, come and leave, change what they show of themselves.

use super::{Live, Round};
use crate::client::{ContactChange, ContactSignal, Sign};
use serde_json::{Map, Value, json};
use wacore_binary::Server;
use warren_domain::{
    Person,
    event::{EventType, NewEvent},
};
use warren_ports::ledger::Op;

impl Live<'_> {
    /// A contact's change becomes an event.
    pub(super) fn contact_changed(&mut self, signal: ContactSignal) -> Round {
        let ContactSignal { contact, at, change } = signal;
        let address = Some(contact.to_string());
        let (pn, lid) = match contact.server {
            Server::Pn => (address, None),
            _ => (None, address),
        };
        let person = Person { jid: contact.to_string(), pn, lid, push_name: None };
        let (name, value) = match change {
            ContactChange::Picture(id) => ("picture_id", id.map_or(Value::Null, Value::String)),
            ContactChange::About(text) => ("about", Value::String(text)),
        };
        let event = NewEvent::contact_updated(&person, Map::from_iter([(name.to_owned(), value)]), at);
        self.settle(Op::Append(event), None, None)
    }

    /// Whoever listens now is told; nobody else.
    pub(super) fn tell_sign(&self, sign: &Sign) {
        let (kind, data) = match sign {
            Sign::Activity { chat, from, activity } => {
                (EventType::ChatTyping, json!({"chat": chat.to_string(), "from": from, "activity": activity}))
            }
            Sign::Presence { from, available, last_seen } => (
                EventType::PresenceUpdated,
                json!({
                    "from": from,
                    "state": if *available { "available" } else { "unavailable" },
                    "last_seen": last_seen,
                }),
            ),
        };
        self.actor.announce(kind, data);
    }
}
