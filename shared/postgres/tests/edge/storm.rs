//! Gateways, the owner and the upkeep write to the same instances at once: nobody waits for another in a circle, and nothing is
//! lost.

use crate::world::{Sender, gateways, is_new, tenant};
use futures::future::join_all;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use warren_domain::event::NewEvent;
use warren_domain::time::{Clock as _, SystemClock};
use warren_domain::{
    Delivery, Direction, Epoch, Fence, InstanceId, Message, MessageId, MessageStatus, Person, Shard, ShardCount, Timestamp,
};
use warren_ports::ledger::{
    Accepted, Committer, Inbound, Instances, Maintenance, Messages, NewMessage, Op, Outcome, Ownership, ReceiptTarget,
    Retention, Write,
};
use warren_postgres::Postgres;

const SENDERS: usize = 24;
const STORM: Duration = Duration::from_secs(5);

/// Who is there, what was accepted, and whether it is over.
struct Storm {
    senders: Vec<Sender>,
    accepted: Mutex<Vec<(Sender, MessageId, String)>>,
    count: AtomicUsize,
    over: AtomicBool,
}

impl Storm {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// Some of the senders, another choice and order for each seed.
    fn some(&self, seed: usize) -> Vec<Sender> {
        (0..6).map(|step| self.senders[(seed * 7 + step * (seed % 5 + 1)) % SENDERS]).collect()
    }

    /// Accepts calls that name many instances, in every order.
    async fn gateway(&self, store: &Postgres, name: usize) {
        for call in 0.. {
            if !self.goes_on() {
                return;
            }
            let message = |(place, sender): (usize, &Sender)| {
                let id = format!("{name}-{call}-{place}");
                let soon = SystemClock.now().after(Duration::from_millis(200));
                NewMessage {
                    expires_at: (place == 1).then_some(soon),
                    send_at: (place == 2).then_some(soon),
                    ..if place == 3 { sender.keyed(&id) } else { sender.message(&id) }
                }
            };
            let senders = self.some(call + name);
            let asked: Vec<NewMessage> = senders.iter().enumerate().map(message).collect();
            let verdicts = store.accept(asked.clone()).await.unwrap();
            assert!(verdicts.iter().all(is_new), "{verdicts:?}");
            self.count.fetch_add(verdicts.len(), Ordering::SeqCst);
            let made = asked.into_iter().zip(senders).map(|(asked, sender)| (sender, asked.id, asked.whatsapp_id));
            self.accepted.lock().unwrap().extend(made);
        }
    }

    /// Claims, acknowledges and fails what was accepted, and receives, many instances to a batch.
    async fn owner(&self, store: &Postgres, name: usize) {
        for round in 0.. {
            if !self.goes_on() {
                return;
            }
            let mut writes: Vec<Write> = self
                .some(round * 3 + name)
                .into_iter()
                .map(|sender| write(sender, received(sender, &format!("in-{name}-{round}"))))
                .collect();
            let taken: Vec<_> = {
                let mut accepted = self.accepted.lock().unwrap();
                let from = accepted.len().saturating_sub(12);
                accepted.drain(from..).collect()
            };
            for (number, (sender, message, whatsapp_id)) in taken.into_iter().enumerate() {
                let at = SystemClock.now();
                writes.push(write(sender, Op::Claim { message, stanza: vec![1; 300], replace_stanza: false, at }));
                if number % 3 < 2 {
                    let target = ReceiptTarget { whatsapp_ids: vec![whatsapp_id], status: MessageStatus::Delivered, at };
                    writes.push(write(sender, Op::Receipt(target)));
                }
            }
            for outcome in store.commit(writes).await {
                assert!(matches!(outcome, Outcome::Done | Outcome::NoChange), "{outcome:?}");
            }
        }
    }

    /// What the first worker does beside.
    async fn upkeep(&self, store: &Postgres) {
        let day = Duration::from_secs(86_400);
        let retention = Retention { events: 7 * day, messages: 30 * day, idempotency: day };
        while self.goes_on() {
            let now = SystemClock.now();
            store.expire_queued(now, 100).await.unwrap();
            store.release_due(now, 100).await.unwrap();
            store.expire(now, &retention, 100).await.unwrap();
        }
    }
}

fn fence(instance: InstanceId) -> Fence {
    Fence { shard: Shard::of(instance, ShardCount::default()), epoch: Epoch(1) }
}

fn write(sender: Sender, op: Op) -> Write {
    Write { fence: fence(sender.instance), tenant: sender.tenant, instance: sender.instance, op }
}

fn received(sender: Sender, whatsapp_id: &str) -> Op {
    let NewMessage { id, content, chat, .. } = sender.message(whatsapp_id);
    let message = Message {
        id,
        tenant: sender.tenant,
        instance: sender.instance,
        direction: Direction::Inbound,
        whatsapp_id: whatsapp_id.to_owned(),
        chat: chat.clone(),
        author: Some(Person { jid: chat, ..Person::default() }),
        content,
        quoted: None,
        status: MessageStatus::Delivered,
        reason: None,
        delivery: Delivery::AtLeastOnce,
        expires_at: None,
        send_at: None,
        metadata: serde_json::Map::new(),
        backfilled: false,
        times: warren_domain::message::Times::default(),
    };
    let event = NewEvent::message_received(&message, Timestamp::default());
    Op::Receive(Box::new(Inbound { message, event, media: None }))
}

const SOUND: &str = "SELECT
    (SELECT count(*) FROM instance_counters c
     WHERE open_messages <> (SELECT count(*) FROM queue q WHERE q.instance_id = c.instance_id)),
    (SELECT count(*) FROM instance_counters c WHERE event_seq <> (SELECT count(*) FROM events e WHERE e.instance_id = c.instance_id)),
    (SELECT count(*) FROM (SELECT instance_id, seq, row_number() OVER (PARTITION BY instance_id ORDER BY position) AS place
     FROM events) e WHERE seq <> place),
    (SELECT count(*) FROM messages m WHERE (status = 0) <> EXISTS (SELECT 1 FROM queue q WHERE q.queue_order = m.queue_order))";

/// For five seconds two gateways, two owners' lanes and the upkeep write to the same two dozen instances.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_a_circle() {
    let (database, stores) = gateways::<3>().await;
    let [first, second, worker] = &stores;
    let owner = tenant(first).await;
    let senders = join_all((0..SENDERS).map(|_| Sender::of(first, owner))).await;
    let shards: Vec<_> = senders.iter().map(|sender| (fence(sender.instance).shard, Epoch(1))).collect();
    worker.take(&shards).await.unwrap();
    let storm = Storm { senders, accepted: Mutex::default(), count: AtomicUsize::new(0), over: AtomicBool::new(false) };
    let began = Instant::now();
    let ending = async {
        tokio::time::sleep(STORM).await;
        storm.over.store(true, Ordering::SeqCst);
    };
    let gateways = join_all((0..8).map(|name| storm.gateway(if name % 2 == 0 { first } else { second }, name)));
    let owners = join_all((0..6).map(|name| storm.owner(worker, name)));
    tokio::join!(ending, gateways, owners, storm.upkeep(worker));
    assert!(began.elapsed() < STORM + Duration::from_secs(5), "the last writes took {:?}", began.elapsed() - STORM);

    let count = storm.count.load(Ordering::SeqCst);
    let sent = database.execute(&["SELECT count(*) FROM messages WHERE direction = 1"]).await.unwrap();
    assert_eq!(sent, count.to_string());
    assert_eq!(database.execute(&[SOUND]).await.unwrap(), "0|0|0|0");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.execute(&["SELECT pg_stat_force_next_flush()", deadlocks]).await.unwrap().trim(), "0");
    assert!(count > 500, "only {count} were accepted");
}

/// Instances are deleted while gateways and the owner write to them: nothing stays open, nothing is answered with an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_is_no_circle_either() {
    let (database, stores) = gateways::<2>().await;
    let [first, worker] = &stores;
    let owner = tenant(first).await;
    for _ in 0..8 {
        let senders = join_all((0..4).map(|_| Sender::of(first, owner))).await;
        let shards: Vec<_> = senders.iter().map(|sender| (fence(sender.instance).shard, Epoch(1))).collect();
        worker.take(&shards).await.unwrap();
        let accepting = join_all(senders.iter().map(async |sender| {
            loop {
                let asked: Vec<NewMessage> = senders.iter().map(|sender| sender.message("A")).collect();
                let verdicts = first.accept(asked).await.unwrap();
                assert!(verdicts.iter().all(|verdict| matches!(verdict, Accepted::New(_) | Accepted::NoInstance)));
                if verdicts.iter().all(|verdict| *verdict == Accepted::NoInstance) {
                    return sender;
                }
            }
        }));
        let owning = join_all(senders.iter().map(async |sender| {
            loop {
                let open = worker.open_messages(&[sender.instance], 20).await.unwrap();
                let at = SystemClock.now();
                let mut writes = vec![write(*sender, received(*sender, &MessageId::generate().to_string()))];
                writes.extend(open.iter().map(|open| {
                    let message = open.message.id;
                    write(*sender, Op::Claim { message, stanza: vec![1; 100], replace_stanza: true, at })
                }));
                let outcomes = worker.commit(writes).await;
                match outcomes.first() {
                    Some(Outcome::Refused(error)) if error.code == "not_found" => return,
                    Some(Outcome::Done) => {}
                    other => panic!("{other:?}"),
                }
            }
        }));
        let deleting = async {
            for sender in &senders {
                while first.open_messages(&[sender.instance], 1).await.unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                assert!(worker.delete_instance(sender.tenant, sender.instance).await.unwrap());
            }
        };
        tokio::join!(accepting, owning, deleting);
    }
    assert_eq!(database.execute(&[SOUND]).await.unwrap(), "0|0|0|0");
    assert_eq!(database.execute(&["SELECT count(*) FROM queue"]).await.unwrap(), "0");
}
