//! Notifications: what the server tells companions by itself. Each is written once for everybody who gets it, and kept until
//! it is acknowledged.

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeValue};

use crate::account::{Account, Outgoing};
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// An id that begins so and is no other's.
pub(crate) fn id(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// `<notification>` up to what it holds.
pub(crate) fn begin(from: impl Into<NodeValue>, kind: &'static str, id: &str) -> NodeBuilder {
    NodeBuilder::new("notification").attr("from", from).attr("type", kind).attr("id", id).attr("t", stanza::unix_seconds())
}

/// One that is written.
pub(crate) struct Notification {
    id: String,
    /// The phone number of whom it is of; 0 is the server.
    from: u64,
    stanza: Bytes,
}

impl Notification {
    /// `None` for a node that cannot be written.
    pub(crate) fn of(id: String, from: u64, node: &Node) -> Option<Self> {
        let stanza = Bytes::from(wacore_binary::marshal(node).ok()?);
        Some(Self { id, from, stanza })
    }

    /// Queues it for one companion.
    pub(crate) fn tell_one(&self, world: &World, account: &Account, device: u16) {
        account.enqueue(world, device, self.outgoing());
    }

    /// Queues it for every companion.
    pub(crate) fn tell(&self, world: &World, account: &Account) {
        account.enqueue_for_all(world, |_| self.outgoing());
    }

    /// Queues it for every companion but the one that knows.
    pub(crate) fn tell_others(&self, world: &World, account: &Account, but: Option<u16>) {
        for device in account.companions().into_iter().filter(|device| Some(*device) != but) {
            self.tell_one(world, account, device);
        }
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing {
            class: Class::Notification,
            id: self.id.clone(),
            from: self.from,
            stanza: self.stanza.clone(),
            noted_from: None,
        }
    }
}
