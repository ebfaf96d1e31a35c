//! Messages to groups: who they go to, and what each of those did with them.

use super::{Subject, World, at, claim};
use crate::ledger::{Messages, NewMessage, Op, ReceiptTarget};
use warren_domain::group::Member;
use warren_domain::{EventType, Message, MessageId, MessageStatus, TenantId};

const GROUP: &str = "120363000000000001@g.us";

fn member(number: u64) -> Member {
    Member {
        jid: format!("{number}@lid"),
        pn: Some(format!("62{number}@s.whatsapp.net")),
        lid: Some(format!("{number}@lid")),
    }
}

fn audience(message: MessageId, numbers: &[u64]) -> Op {
    Op::Audience { message, members: numbers.iter().map(|&number| member(number)).collect() }
}

fn receipt(ids: &[&str], by: Member, status: MessageStatus, moment: i64) -> Op {
    let whatsapp_ids = ids.iter().map(|&id| id.to_owned()).collect();
    Op::MemberReceipt { target: ReceiptTarget { whatsapp_ids, status, at: at(moment) }, member: by }
}

impl<L: crate::ledger::EdgeLedger + crate::ledger::OwnerLedger> World<'_, L> {
    async fn to_group(&self, whatsapp_id: &str, numbers: &[u64]) -> Message {
        let new = NewMessage { chat: GROUP.to_owned(), ..self.outgoing(whatsapp_id) };
        let id = new.id;
        self.accept(vec![new]).await;
        assert_eq!(self.commit(audience(id, numbers)).await, "done");
        assert_eq!(self.commit(claim(id, b"stanza")).await, "done");
        self.message(id).await
    }

    async fn status(&self, id: MessageId) -> MessageStatus {
        self.message(id).await.status
    }

    async fn statuses(&self) -> Vec<MessageStatus> {
        let events = self.events().await.into_iter().filter(|event| event.kind == EventType::MessageStatus);
        events.filter_map(|event| serde_json::from_value(event.data.get("status").cloned()?).ok()).collect()
    }
}

/// A message is as far as the weakest of its audience; what came later passed what comes before; each step is one event.
pub async fn the_weakest_member_decides(subject: impl Subject) {
    use MessageStatus::{Delivered, Handed, Played, Read, Sent};
    let world = World::new(subject.ledger()).await;
    let id = world.to_group("A", &[1, 2]).await.id;
    assert_eq!(world.status(id).await, Handed);
    // A receipt proves that the server took it; what only proves that is no member's.
    assert_eq!(world.commit(receipt(&["A"], member(1), Sent, 300)).await, "done");
    assert_eq!(world.commit(receipt(&["A"], member(1), Read, 301)).await, "done");
    assert_eq!(world.status(id).await, Sent);
    assert_eq!(world.commit(receipt(&["A"], member(1), Delivered, 302)).await, "no change");
    assert_eq!(world.commit(receipt(&["A"], member(2), Delivered, 303)).await, "done");
    assert_eq!(world.status(id).await, Delivered);
    assert_eq!(world.commit(receipt(&["A"], member(2), Played, 304)).await, "done");
    assert_eq!(world.status(id).await, Read);
    assert_eq!(world.commit(receipt(&["A"], member(1), Played, 305)).await, "done");
    let message = world.message(id).await;
    assert_eq!((message.status, message.times.delivered, message.times.played), (Played, Some(at(303)), Some(at(305))));
    assert_eq!(world.statuses().await, [Sent, Delivered, Read, Played]);

    let told = world.ledger.member_receipts(world.tenant, id).await.unwrap();
    let times: Vec<_> = told.iter().map(|told| (told.delivered_at, told.read_at, told.played_at)).collect();
    assert_eq!(times, [(Some(at(301)), Some(at(301)), Some(at(305))), (Some(at(303)), Some(at(304)), Some(at(304)))]);
    assert_eq!(told.iter().map(|told| told.member.clone()).collect::<Vec<_>>(), [member(1), member(2)]);
    assert_eq!(world.ledger.member_receipts(TenantId::generate(), id).await.unwrap(), []);
}

/// Who is not of the audience moves nothing; who is, is known by either name.
pub async fn a_member_is_known_by_either_name(subject: impl Subject) {
    use MessageStatus::{Delivered, Read, Sent};
    let world = World::new(subject.ledger()).await;
    let id = world.to_group("A", &[1]).await.id;
    assert_eq!(world.commit(receipt(&["A"], member(9), Read, 300)).await, "done");
    assert_eq!(world.status(id).await, Sent);
    let by_number = Member { lid: None, jid: "621@s.whatsapp.net".to_owned(), pn: Some("621@s.whatsapp.net".to_owned()) };
    assert_eq!(world.commit(receipt(&["A"], by_number, Delivered, 301)).await, "done");
    assert_eq!(world.status(id).await, Delivered);
    assert_eq!(world.ledger.member_receipts(world.tenant, id).await.unwrap().len(), 1);
}

/// An audience may be said again while the message is open: whoever answered stays, the others are replaced.
pub async fn an_audience_is_replaced_while_the_message_is_open(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let id = world.to_group("A", &[1, 2]).await.id;
    assert_eq!(world.commit(audience(id, &[2, 3])).await, "done");
    let told = world.ledger.member_receipts(world.tenant, id).await.unwrap();
    assert_eq!(told.iter().map(|told| told.member.clone()).collect::<Vec<_>>(), [member(2), member(3)]);
    assert_eq!(world.commit(receipt(&["A"], member(2), MessageStatus::Read, 300)).await, "done");
    assert_eq!(world.commit(audience(id, &[4])).await, "no change");
    let too_many: Vec<u64> = (0..2_049).collect();
    assert_eq!(world.commit(audience(id, &too_many)).await, "audience_too_large");
    assert_eq!(world.ledger.member_receipts(world.tenant, id).await.unwrap().len(), 2);
}

/// A message to a person has no audience, and no member's receipt raises it.
pub async fn a_person_is_no_group(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let id = world.queued("A").await.id;
    assert_eq!(world.commit(audience(id, &[1])).await, "no change");
    assert_eq!(world.commit(receipt(&["A"], member(1), MessageStatus::Read, 300)).await, "no change");
    assert_eq!(world.status(id).await, MessageStatus::Queued);
    assert_eq!(world.ledger.member_receipts(world.tenant, id).await.unwrap(), []);
}
