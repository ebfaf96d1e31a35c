//! Messages as their owner moves them on.

use super::{EPOCH, Subject, World, at, claim, fence, record, text};
use crate::ledger::{Committer, Messages, Op, Ownership, ReceiptTarget, RecordKind, Sessions};
use warren_domain::message::{Quoted, Times};
use warren_domain::{Epoch, EventType, FailureReason, InstanceId, MessageId, MessageStatus};

fn receipt(ids: &[&str], status: MessageStatus, moment: i64) -> Op {
    let whatsapp_ids = ids.iter().map(|&id| id.to_owned()).collect();
    Op::Receipt(ReceiptTarget { whatsapp_ids, status, at: at(moment) })
}

fn fail(message: MessageId, reason: FailureReason) -> Op {
    Op::Fail { message, reason, at: at(400) }
}

/// A claim keeps the first stanza; another one is refused unless it may be replaced; each claim is an attempt.
pub async fn a_claim_keeps_the_first_stanza(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    assert_eq!(world.commit(claim(message.id, b"one")).await, "done");
    assert_eq!(world.commit(claim(message.id, b"one")).await, "done");
    assert_eq!(world.commit(claim(message.id, b"two")).await, "no change");
    let open = world.open().await;
    let handed = open.first().unwrap();
    assert_eq!((handed.message.status, handed.attempt), (MessageStatus::Handed, 2));
    assert_eq!((handed.handed_epoch, handed.stanza.as_deref()), (Some(EPOCH), Some(b"one".as_slice())));
    assert_eq!(handed.message.times.handed, Some(at(200)));
    let anew = Op::Claim { message: message.id, stanza: b"two".to_vec(), replace_stanza: true, at: at(201) };
    assert_eq!(world.commit(anew).await, "done");
    let open = world.open().await;
    let handed = open.first().unwrap();
    assert_eq!((handed.stanza.as_deref(), handed.message.times.handed), (Some(b"two".as_slice()), Some(at(200))));
}

/// A message in any other status, or of another instance, must not be sent.
pub async fn a_claim_needs_an_open_message(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (sent, failed) = (world.queued("A").await, world.queued("B").await);
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Sent, 300)).await, "done");
    assert_eq!(world.commit(fail(failed.id, FailureReason::Rejected)).await, "done");
    let other = World::of(world.ledger, world.tenant).await;
    let others = other.queued("C").await;
    for message in [sent.id, failed.id, others.id, MessageId::generate()] {
        assert_eq!(world.commit(claim(message, b"bytes")).await, "no change");
    }
    assert_eq!(world.message(sent.id).await.status, MessageStatus::Sent);
}

/// A new owner claims what an earlier one handed, and the earlier one cannot any more.
pub async fn a_higher_epoch_claims_again(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    assert_eq!(world.commit(claim(message.id, b"bytes")).await, "done");
    let next = Epoch(EPOCH.0 + 1);
    world.ledger.take(&[(world.fence.shard, next)]).await.unwrap();
    assert_eq!(world.commit(claim(message.id, b"bytes")).await, "ownership lost");
    let mut write = world.write(claim(message.id, b"bytes"));
    write.fence = fence(world.instance, next);
    let outcomes = world.ledger.commit(vec![write]).await;
    assert_eq!(outcomes.first().map(super::verdict), Some("done"));
    let open = world.open().await;
    assert_eq!(open.first().map(|handed| (handed.handed_epoch, handed.attempt)), Some((Some(next), 2)));
}

/// A status never falls; each rise is one event and one time; the stanza goes with the server's ack.
pub async fn receipts_only_raise(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    assert_eq!(world.commit(claim(message.id, b"bytes")).await, "done");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Sent, 300)).await, "done");
    assert_eq!(world.ledger.outbound_by_whatsapp_id(world.instance, "A").await.unwrap().unwrap().stanza, None);
    assert_eq!(world.open().await, []);
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Read, 310)).await, "done");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Delivered, 320)).await, "no change");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Read, 330)).await, "no change");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Played, 340)).await, "done");
    let now = world.message(message.id).await;
    assert_eq!(now.status, MessageStatus::Played);
    let expected = Times {
        created: at(100),
        handed: Some(at(200)),
        sent: Some(at(300)),
        delivered: Some(at(310)),
        read: Some(at(310)),
        played: Some(at(340)),
        ..Times::default()
    };
    assert_eq!(now.times, expected);
    let events = world.events().await;
    let statuses: Vec<_> = events.iter().map(|event| event.data.get("status").and_then(|status| status.as_str())).collect();
    // The receipt that said `read` overtook the one that would have said `delivered`.
    assert_eq!(statuses, [Some("sent"), Some("delivered"), Some("read"), Some("played")]);
    assert!(events.iter().all(|event| event.kind == EventType::MessageStatus));
    assert_eq!(world.assert_gapless().await, 4);
}

/// A receipt raises those that it can; unknown ids and inbound messages are no error.
pub async fn a_receipt_names_many_messages(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (first, second) = (world.queued("A").await, world.queued("B").await);
    assert_eq!(world.commit(Op::Receive(Box::new(world.incoming("C")))).await, "done");
    assert_eq!(world.commit(receipt(&["X", "C"], MessageStatus::Read, 300)).await, "no change");
    assert_eq!(world.commit(receipt(&["A", "X", "B", "C"], MessageStatus::Delivered, 310)).await, "done");
    for message in [first.id, second.id] {
        assert_eq!(world.message(message).await.status, MessageStatus::Delivered);
    }
    // One received, two sent and two delivered.
    assert_eq!(world.assert_gapless().await, 5);
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Handed, 320)).await, "receipt_status");
    let too_many: Vec<&str> = std::iter::repeat_n("A", 1_001).collect();
    assert_eq!(world.commit(receipt(&too_many, MessageStatus::Read, 320)).await, "receipt_too_large");
}

/// A failed message stays failed: nothing claims it, fails it again or raises it.
pub async fn a_failed_message_stays_failed(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    assert_eq!(world.commit(claim(message.id, b"bytes")).await, "done");
    assert_eq!(world.commit(fail(message.id, FailureReason::Rejected)).await, "done");
    assert_eq!(world.commit(fail(message.id, FailureReason::Expired)).await, "no change");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Sent, 500)).await, "no change");
    let now = world.message(message.id).await;
    assert_eq!((now.status, now.reason), (MessageStatus::Failed, Some(FailureReason::Rejected)));
    assert_eq!(now.times.failed, Some(at(400)));
    assert_eq!(world.ledger.outbound_by_whatsapp_id(world.instance, "A").await.unwrap().unwrap().stanza, None);
    let events = world.events().await;
    assert_eq!(events.iter().map(|event| event.data.get("reason").cloned()).collect::<Vec<_>>(), [Some("rejected".into())]);
}

/// A message failed with `outcome_unknown` is raised when the truth comes.
pub async fn the_truth_may_come_late(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    assert_eq!(world.commit(fail(message.id, FailureReason::OutcomeUnknown)).await, "done");
    assert_eq!(world.commit(receipt(&["A"], MessageStatus::Delivered, 500)).await, "done");
    let now = world.message(message.id).await;
    assert_eq!((now.status, now.reason), (MessageStatus::Delivered, None));
    assert_eq!((now.times.delivered, now.times.failed), (Some(at(500)), None));
    assert_eq!(world.commit(claim(message.id, b"bytes")).await, "no change");
    // Failed, sent, delivered.
    assert_eq!(world.assert_gapless().await, 3);
}

/// An inbound message is committed once, with its event, whoever repeats it; every field reads back.
pub async fn an_inbound_message_is_committed_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let mut inbound = world.incoming("A");
    inbound.message.backfilled = true;
    inbound.message.quoted =
        Some(Quoted { message_id: None, whatsapp_id: "Q".to_owned(), author: "1@lid".to_owned(), content: Some(text("q")) });
    let message = inbound.message.clone();
    let author = message.author.clone().unwrap().jid;
    let has = async |whatsapp_id: &str| {
        world.ledger.has_inbound(world.instance, &message.chat, &author, whatsapp_id).await.unwrap()
    };
    assert!(!has("A").await);
    assert_eq!(world.commit(Op::Receive(Box::new(inbound.clone()))).await, "done");
    assert_eq!(world.message(message.id).await, message);
    assert!(has("A").await);
    assert!(!has("B").await);
    let mut again = world.incoming("A");
    assert_eq!(world.commit(Op::Receive(Box::new(again.clone()))).await, "no change");
    // The same id of another author is another message.
    again.message.author.as_mut().unwrap().jid = "15550144@s.whatsapp.net".to_owned();
    assert_eq!(world.commit(Op::Receive(Box::new(again))).await, "done");
    let events = world.events().await;
    assert_eq!(events.first().map(|event| (event.id, event.kind)), Some((inbound.event.id, EventType::MessageReceived)));
    assert_eq!(events.first().map(|event| &event.data), Some(&inbound.event.data));
    assert_eq!(world.assert_gapless().await, 2);
    let mut misplaced = world.incoming("C");
    misplaced.message.instance = InstanceId::generate();
    assert_eq!(world.commit(Op::Receive(Box::new(misplaced))).await, "not_inbound");
}

/// Forgetting a session deletes all of its state; what is open ends if asked.
pub async fn forgetting_a_session_ends_what_is_open(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let message = world.queued("A").await;
    let records = vec![record(RecordKind::DataKey, b"", b"key", 0), record(RecordKind::Session, b"s", b"v", 0)];
    assert_eq!(world.commit(Op::Put(records.clone())).await, "done");
    assert_eq!(world.commit(Op::ForgetSession { fail_open: None }).await, "done");
    assert_eq!(world.commit(Op::ForgetSession { fail_open: None }).await, "no change");
    assert_eq!(world.message(message.id).await.status, MessageStatus::Queued);
    assert_eq!(world.commit(Op::Put(records)).await, "done");
    assert_eq!(world.commit(Op::ForgetSession { fail_open: Some(at(600)) }).await, "done");
    let now = world.message(message.id).await;
    assert_eq!(
        (now.status, now.reason, now.times.failed),
        (MessageStatus::Failed, Some(FailureReason::LoggedOut), Some(at(600)))
    );
    for kind in [RecordKind::DataKey, RecordKind::Session] {
        assert_eq!(world.ledger.records_with_prefix(world.instance, kind, b"").await.unwrap(), []);
    }
    assert_eq!(world.assert_gapless().await, 1);
}
