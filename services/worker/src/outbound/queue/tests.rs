use super::*;
use warren_domain::{
    Delivery, Direction, Epoch, Message, TenantId,
    message::{Content, Text, Times},
};

const ANY: Allowance = Allowance { fresh: usize::MAX, strangers: usize::MAX };
const NONE: Allowance = Allowance { fresh: 0, strangers: usize::MAX };
const ONE: Allowance = Allowance { fresh: 1, strangers: usize::MAX };
const LINK: LinkState = LinkState { epoch: Epoch(1), drained: true, awaiting_ack: false, stanza_dead: false };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A queued message, accepted when its order says.
fn row(order: i64, chat: &str) -> Outbound {
    let message = Message {
        id: MessageId::generate(),
        tenant: TenantId::generate(),
        instance: InstanceId::generate(),
        direction: Direction::Outbound,
        whatsapp_id: order.to_string(),
        chat: chat.to_owned(),
        author: None,
        content: Content::Text { text: Text::default() },
        quoted: None,
        status: MessageStatus::Queued,
        reason: None,
        delivery: Delivery::AtLeastOnce,
        expires_at: None,
        send_at: None,
        metadata: serde_json::Map::new(),
        backfilled: false,
        times: Times { created: at(order), ..Times::default() },
    };
    Outbound { message, order, secret: [0; 32], attempt: 0, handed_epoch: None, stanza: None, upload: None }
}

fn scheduled(order: i64, chat: &str, send_at: i64) -> Outbound {
    let mut row = row(order, chat);
    row.message.send_at = Some(at(send_at));
    row
}

fn queue(rows: Vec<Outbound>) -> Queue {
    let mut queue = Queue::default();
    queue.offer(rows);
    queue
}

/// What is begun now, by order.
fn take(queue: &mut Queue, allowed: Allowance) -> Vec<i64> {
    let mut taken: Vec<_> = queue.take_ready(LINK, at(1_000), 64, allowed).next.iter().map(|next| next.row.order).collect();
    taken.sort_unstable();
    taken
}

#[test]
fn one_message_a_chat_is_under_way_in_turn() {
    let mut queue = queue(vec![row(2, "a"), row(1, "a"), scheduled(0, "a", 3), row(4, "b")]);
    assert_eq!(take(&mut queue, ANY), [1, 4]);
    assert_eq!(take(&mut queue, ANY), Vec::<i64>::new());
    assert!(queue.settle("1"));
    assert_eq!(take(&mut queue, ANY), [2]);
    assert!(queue.settle("2"));
    assert_eq!(take(&mut queue, ANY), [0], "its time came after the others were accepted");
}

#[test]
fn a_message_whose_time_comes_does_not_overtake_what_was_begun() {
    let mut queue = queue(vec![row(5, "a"), row(6, "a")]);
    assert_eq!(take(&mut queue, ANY), [5]);
    queue.offer(vec![scheduled(1, "a", 2)]);
    assert_eq!(take(&mut queue, ANY), Vec::<i64>::new());
    queue.retry_later("5", Duration::ZERO, false);
    assert_eq!(take(&mut queue, ANY), [5]);
    assert!(queue.settle("5"));
    assert_eq!(take(&mut queue, ANY), [1]);
}

#[test]
fn the_pace_takes_the_first_in_turn_and_lets_repeats_pass() {
    let mut handed = row(9, "c");
    (handed.message.status, handed.stanza) = (MessageStatus::Handed, Some(vec![1]));
    handed.message.times.handed = Some(at(900));
    let mut queue = queue(vec![row(3, "a"), row(2, "b"), handed]);
    assert_eq!(take(&mut queue, NONE), [9]);
    let ready = queue.take_ready(LINK, at(1_000), 64, ONE);
    assert_eq!(ready.next.iter().map(|next| next.row.order).collect::<Vec<_>>(), [2]);
    assert!(ready.waits && !ready.stranger_waits);
    assert_eq!(take(&mut queue, ONE), [3]);
    assert!(!queue.take_ready(LINK, at(1_000), 64, NONE).waits, "nothing is left");
}

#[test]
fn what_is_for_strangers_waits_and_leaves_memory() {
    let known_only = Allowance { strangers: 0, ..ANY };
    let mut queue = queue(vec![row(1, "stranger"), row(2, "friend"), row(3, "stranger")]);
    queue.set_strangers(&["stranger".to_owned(), "friend".to_owned()], vec!["stranger".to_owned()]);
    let ready = queue.take_ready(LINK, at(1_000), 64, known_only);
    assert_eq!((ready.next.len(), ready.stranger_waits), (1, true));
    queue.drop_strangers();
    assert_eq!(queue.len(), 1);
}

#[test]
fn no_more_strangers_are_written_to_than_there_is_room_for() {
    let mut queue = queue(vec![row(1, "a"), row(2, "friend"), row(3, "b"), row(4, "a"), row(5, "c")]);
    let names = ["a", "b", "c"].map(str::to_owned);
    queue.set_strangers(&names, names.to_vec());
    let ready = queue.take_ready(LINK, at(1_000), 64, Allowance { strangers: 2, ..ANY });
    assert_eq!(ready.next.iter().map(|next| next.row.order).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(ready.stranger_waits && !ready.waits);
    assert!(queue.acquainted("1") && !queue.acquainted("1"), "once");
    assert_eq!(queue.strangers_in_flight(), 1, "who answered is not counted here any more");
    assert!(queue.settle("1"));
    assert_eq!(take(&mut queue, Allowance { strangers: 0, ..ANY }), [4], "he is no stranger now");
}

#[test]
fn what_was_begun_for_a_stranger_is_settled_first() {
    let mut queue = queue(vec![row(1, "stranger"), row(2, "stranger")]);
    queue.set_strangers(&["stranger".to_owned()], vec!["stranger".to_owned()]);
    assert_eq!(take(&mut queue, ANY), [1]);
    assert_eq!(queue.strangers_in_flight(), 1);
    queue.drop_strangers();
    assert_eq!(queue.len(), 1, "the one that is under way stays");
    assert!(queue.settle("1"));
}

#[test]
fn what_is_cancelled_is_not_taken_in_again() {
    let (first, second) = (row(1, "a"), row(2, "a"));
    let elsewhere = row(3, "b");
    let mut queue = queue(vec![first.clone(), second.clone()]);
    queue.fetch_begins();
    assert_eq!(take(&mut queue, ANY), [1]);
    assert!(!queue.withdraw(first.message.id), "it may be on the wire");
    assert!(queue.withdraw(second.message.id));
    // One that is in the ledger only, while rows are being read that still have it.
    assert!(queue.withdraw(elsewhere.message.id));
    queue.offer(vec![second.clone(), elsewhere.clone()]);
    queue.cancelled(second.message.id);
    queue.cancelled(elsewhere.message.id);
    queue.offer(vec![second, elsewhere.clone()]);
    assert_eq!(queue.len(), 1);
    // What was read after the ledger's answer is true: it was not cancelled.
    queue.fetch_begins();
    queue.offer(vec![elsewhere]);
    assert_eq!(queue.len(), 2);
}
