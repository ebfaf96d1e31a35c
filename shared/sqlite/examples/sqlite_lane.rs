//! How fast the lane is: message lives (accept, claim, sent, delivered, read) of many instances, and inbound ones.
//! Prints only. `cargo run --release -p warren-sqlite --example sqlite_lane -- [messages] [instances] [in flight]`

#![expect(clippy::unwrap_used, reason = "an example")]

use serde_json::Map;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use warren_domain::event::NewEvent;
use warren_domain::message::{Content, Text, Times};
use warren_domain::{
    Delivery, Direction, Epoch, Fence, InstanceId, Message, MessageId, MessageStatus, Network, Person, Shard, ShardCount,
    TenantId, Timestamp,
};
use warren_ports::contract;
use warren_ports::ledger::{
    Accepted, Committer, Inbound, Instances, Messages, NewMessage, Op, Outcome, Ownership, ReceiptTarget, Record,
    RecordKind, Tenants, Write,
};
use warren_sqlite::{CommitObserver, Options, Sqlite};

#[derive(Default)]
struct Seen {
    commits: AtomicU64,
    items: AtomicU64,
    micros: AtomicU64,
}

impl CommitObserver for Seen {
    fn committed(&self, items: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(u64::try_from(items).unwrap(), Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Owner {
    store: Sqlite,
    tenant: TenantId,
    instance: InstanceId,
}

impl Owner {
    async fn commit(&self, op: Op) {
        let fence = Fence { shard: Shard::of(self.instance, ShardCount::default()), epoch: Epoch(1) };
        let outcomes = self.store.commit(vec![Write { fence, tenant: self.tenant, instance: self.instance, op }]).await;
        assert!(matches!(outcomes.as_slice(), [Outcome::Done]), "{outcomes:?}");
    }

    async fn send(&self, number: usize) {
        let at = Timestamp::from_millis(1_767_225_600_000);
        let message = NewMessage {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            whatsapp_id: format!("3EB0{number:018X}"),
            secret: [3; 32],
            chat: format!("1555{number:07}@s.whatsapp.net"),
            content: Content::Text {
                text: Text { body: "Your order has left the house and arrives tomorrow.".to_owned(), ..Text::default() },
            },
            media: None,
            quoted: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            created_at: at,
            idempotency: None,
            part: None,
            queue_limit: 100_000,
        };
        let (id, whatsapp_id) = (message.id, message.whatsapp_id.clone());
        assert!(matches!(self.store.accept(vec![message]).await.unwrap().as_slice(), [Accepted::New(_)]));
        self.commit(Op::Put(vec![session(number)])).await;
        self.commit(Op::Claim { message: id, stanza: vec![7; 400], replace_stanza: false, at }).await;
        for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read] {
            self.commit(Op::Receipt(ReceiptTarget { whatsapp_ids: vec![whatsapp_id.clone()], status, at })).await;
        }
    }

    async fn receive(&self, number: usize) {
        let at = Timestamp::from_millis(1_767_225_600_000);
        let key = number.to_be_bytes().to_vec();
        let pending = Record { kind: RecordKind::PendingInbound, key: key.clone(), value: vec![1; 200], mark: 1 };
        self.commit(Op::Put(vec![pending])).await;
        self.commit(Op::Put(vec![session(number)])).await;
        let jid = format!("1555{number:07}@s.whatsapp.net");
        let message = Message {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            direction: Direction::Inbound,
            whatsapp_id: format!("IN{number:020X}"),
            chat: jid.clone(),
            author: Some(Person { jid, ..Person::default() }),
            content: Content::Text {
                text: Text { body: "Thank you, I am at home from eight.".to_owned(), ..Text::default() },
            },
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
        let event = NewEvent::message_received(&message, at);
        self.commit(Op::Receive(Box::new(Inbound { message, event, media: None }))).await;
        self.commit(Op::Delete { kind: RecordKind::PendingInbound, keys: vec![key] }).await;
    }
}

fn session(number: usize) -> Record {
    Record { kind: RecordKind::Session, key: format!("1555{:07}.0", number % 50).into_bytes(), value: vec![9; 900], mark: 0 }
}

async fn owners(store: &Sqlite, count: usize) -> Vec<Owner> {
    let tenant = contract::ledger::tenant();
    store.create_tenant(&tenant).await.unwrap();
    let shards: Vec<_> = (0..1024).map(|shard| (Shard(shard), Epoch(1))).collect();
    store.take(&shards).await.unwrap();
    let mut owners = Vec::new();
    for _ in 0..count {
        let instance = contract::ledger::instance(tenant.id);
        store.create_instance(&instance, u32::MAX).await.unwrap();
        owners.push(Owner { store: store.clone(), tenant: tenant.id, instance: instance.id });
    }
    owners
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    fields.iter().sum::<f64>() / 100.0
}

async fn measured(what: &str, messages: usize, seen: &Seen, work: impl Future<Output = ()>) {
    let counters = [&seen.commits, &seen.items, &seen.micros];
    counters.iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    let (began, cpu) = (Instant::now(), cpu_seconds());
    work.await;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let [commits, items, micros] = counters.map(|counter| counter.load(Ordering::Relaxed));
    println!(
        "{what}: {messages} in {took:.2} s = {:.0}/s, process CPU {cpu:.2} s = {:.0} us each; {commits} commits, {:.1} items and {} us each",
        messages as f64 / took,
        cpu * 1e6 / messages as f64,
        items as f64 / commits.max(1) as f64,
        micros / commits.max(1),
    );
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let messages = numbers.next().unwrap_or(10_000);
    let instances = numbers.next().unwrap_or(500);
    let in_flight = numbers.next().unwrap_or(400);
    let dir = std::env::temp_dir().join(format!("warren-lane-{}", std::process::id()));
    let seen = Arc::new(Seen::default());
    let observer: Arc<dyn CommitObserver> = Arc::<Seen>::clone(&seen);
    let store = Sqlite::open(Options { observer: Some(observer), ..Options::new(&dir, Network::Whatsapp) }).await.unwrap();
    let owners = Arc::new(owners(&store, instances).await);
    for outbound in [true, false] {
        let next = Arc::new(AtomicU64::new(0));
        let work = async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..in_flight {
                let (owners, next) = (Arc::clone(&owners), Arc::clone(&next));
                tasks.spawn(async move {
                    loop {
                        let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                        if number >= messages {
                            return;
                        }
                        let owner = owners.get(number % owners.len()).unwrap();
                        if outbound { owner.send(number).await } else { owner.receive(number).await }
                    }
                });
            }
            tasks.join_all().await;
        };
        measured(if outbound { "outbound" } else { "inbound" }, messages, &seen, work).await;
    }
    let began = Instant::now();
    store.close().await;
    println!("closed in {:.2} s", began.elapsed().as_secs_f64());
    std::fs::remove_dir_all(&dir).unwrap();
}
