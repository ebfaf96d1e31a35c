//! What everything is called on the bus.

use crate::envelope::Id;
use warren_domain::Shard;
use warren_ports::bus::Topic;

/// The subjects of one cluster, as one process sees them.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    root: String,
    inbox: String,
}

impl Subjects {
    /// `service` names the process among the services, `start` this start of it among all.
    pub(crate) fn new(cluster: &str, service: &str, start: Id) -> Self {
        Self { root: format!("wrn.{cluster}"), inbox: format!("_INBOX_{service}.{}", hex::encode(start)) }
    }

    /// Where the owner of a shard is asked.
    pub(crate) fn command(&self, shard: Shard) -> String {
        format!("{}.cmd.{shard}", self.root)
    }

    /// Where a topic is rung.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        match topic {
            Topic::Outbound(shard) => format!("{}.out.{shard}", self.root),
            Topic::Log(tenant) => format!("{}.evt.{tenant}", self.root),
            Topic::Settled(message) => format!("{}.set.{message}", self.root),
        }
    }

    /// Where every message's end is rung.
    pub(crate) fn all_settled(&self) -> String {
        format!("{}.set.*", self.root)
    }

    /// The topic of a subject of [`Subjects::all_settled`].
    pub(crate) fn settled(&self, subject: &str) -> Option<Topic> {
        let message = subject.strip_prefix(&self.root)?.strip_prefix(".set.")?;
        Some(Topic::Settled(message.parse().ok()?))
    }

    /// Where the answer to a request is heard.
    pub(crate) fn answer(&self, request: Id) -> String {
        format!("{}.{}", self.inbox, hex::encode(request))
    }

    /// Where every answer is heard.
    pub(crate) fn all_answers(&self) -> String {
        format!("{}.*", self.inbox)
    }

    /// The request that a subject of [`Subjects::all_answers`] answers.
    pub(crate) fn answered(&self, subject: &str) -> Option<Id> {
        let mut request = Id::default();
        let name = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?;
        hex::decode_to_slice(name, &mut request).ok()?;
        Some(request)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use warren_domain::{MessageId, TenantId};

    #[test]
    fn names_are_read_back() {
        let subjects = Subjects::new("main", "gateway-1", [7; 16]);
        assert_eq!(subjects.command(Shard(12)), "wrn.main.cmd.12");
        assert_eq!(subjects.topic(Topic::Outbound(Shard(3))), "wrn.main.out.3");
        let tenant = TenantId::generate();
        assert_eq!(subjects.topic(Topic::Log(tenant)), format!("wrn.main.evt.{tenant}"));
        let settled = Topic::Settled(MessageId::generate());
        assert_eq!(subjects.settled(&subjects.topic(settled)), Some(settled));
        assert_eq!(subjects.settled("wrn.other.set.00000000000000000000000000000000"), None);
        assert_eq!(subjects.answered(&subjects.answer([9; 16])).unwrap(), [9; 16]);
        assert_eq!(subjects.answered("_INBOX_gateway-1.00.00"), None);
    }
}
