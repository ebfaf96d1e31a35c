//! Whole lives of messages, many at once, over any ledger. No suite: the examples of the stores measure their lanes with it,
//! so that their figures are of the same work.

#![expect(clippy::unwrap_used, reason = "a measurement reports by panicking")]

use super::ledger::{EPOCH, World, at, claim, fence, instance, record, tenant, text};
use crate::ledger::{Accepted, EdgeLedger, Inbound, NewMessage, Op, OwnerLedger, ReceiptTarget, Record, RecordKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use warren_domain::event::NewEvent;
use warren_domain::{Direction, InstanceId, Message, MessageStatus, Person, Shard, ShardCount, TenantId};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many messages live, in each direction.
    pub messages: usize,
    /// Over how many instances they are spread.
    pub instances: usize,
    /// How many live at a time.
    pub in_flight: usize,
}

impl Load {
    /// What the command line asks for: `[messages] [instances] [in flight]`.
    ///
    /// # Panics
    /// When an argument is no number.
    #[must_use]
    pub fn asked() -> Self {
        let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
        let mut next = |default: usize| numbers.next().unwrap_or(default);
        Self { messages: next(10_000), instances: next(500), in_flight: next(400) }
    }
}

/// The commits that a store told its observer of. The observer itself is the example's: each store has a trait of its own.
#[derive(Debug, Default)]
pub struct Seen {
    commits: AtomicU64,
    items: AtomicU64,
    micros: AtomicU64,
}

impl Seen {
    /// Counts a commit of so many writes.
    pub fn committed(&self, items: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(u64::try_from(items).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Commits, their writes and their microseconds since the last call.
    fn since(&self) -> [u64; 3] {
        [&self.commits, &self.items, &self.micros].map(|counter| counter.swap(0, Ordering::Relaxed))
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// How many messages lived.
    pub messages: usize,
    /// How long all of them took, seconds.
    pub seconds: f64,
    /// Processor time of this process for all of them, seconds.
    pub cpu: f64,
    /// How many commits the store told of.
    pub commits: u64,
    /// Writes a commit.
    pub items: f64,
    /// Microseconds a commit.
    pub micros: u64,
}

impl Figures {
    /// Messages a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// The share of each message in a sum over all of them.
    #[must_use]
    pub fn each(&self, sum: f64) -> f64 {
        sum / self.messages as f64
    }
}

/// A tenant's instances whose messages live, and their owner.
pub struct Lives<L> {
    ledger: L,
    seen: Arc<Seen>,
    load: Load,
    tenant: TenantId,
    instances: Vec<InstanceId>,
}

impl<L: EdgeLedger + OwnerLedger + 'static> Lives<L> {
    /// Makes the instances in a ledger with 1,024 shards, and owns all of those; `seen` is what its observer counts in.
    ///
    /// # Panics
    /// When the ledger fails.
    pub async fn over(ledger: L, seen: Arc<Seen>, load: Load) -> Arc<Self> {
        let owner = tenant();
        ledger.create_tenant(&owner).await.unwrap();
        let shards: Vec<_> = (0..ShardCount::default().0.get()).map(|shard| (Shard(shard), EPOCH)).collect();
        ledger.take(&shards).await.unwrap();
        let mut instances = Vec::new();
        for _ in 0..load.instances {
            let made = instance(owner.id);
            ledger.create_instance(&made, u32::MAX).await.unwrap();
            instances.push(made.id);
        }
        Arc::new(Self { ledger, seen, load, tenant: owner.id, instances })
    }

    /// Lets all messages of one direction live, once a ledger: their ids are the same each time.
    ///
    /// # Panics
    /// When the ledger fails, or a write is not done.
    pub async fn measured(self: &Arc<Self>, direction: Direction) -> Figures {
        self.seen.since();
        let (began, cpu) = (Instant::now(), cpu_seconds());
        self.all(direction).await;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let [commits, items, micros] = self.seen.since();
        let divisor = commits.max(1);
        let (items, micros) = (items as f64 / divisor as f64, micros / divisor);
        Figures { messages: self.load.messages, seconds, cpu, commits, items, micros }
    }

    async fn all(self: &Arc<Self>, direction: Direction) {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.load.in_flight {
            let (lives, next) = (Arc::clone(self), Arc::clone(&next));
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= lives.load.messages {
                        return;
                    }
                    lives.one(direction, number).await;
                }
            });
        }
        tasks.join_all().await;
    }

    async fn one(&self, direction: Direction, number: usize) {
        let instance = *self.instances.get(number % self.instances.len()).unwrap();
        let world = World { ledger: &self.ledger, tenant: self.tenant, instance, fence: fence(instance, EPOCH) };
        match direction {
            Direction::Outbound => send(&world, number).await,
            Direction::Inbound => receive(&world, number).await,
        }
    }
}

/// Accepted, claimed, sent, delivered, read.
async fn send<L: EdgeLedger + OwnerLedger>(world: &World<'_, L>, number: usize) {
    let whatsapp_id = format!("3EB0{number:018X}");
    let content = text("Your order has left the house and arrives tomorrow.");
    let message = NewMessage { chat: address(number), content, ..world.outgoing(&whatsapp_id) };
    let id = message.id;
    assert!(matches!(world.accept(vec![message]).await.as_slice(), [Accepted::New(_)]));
    done(world, Op::Put(vec![session(number)])).await;
    done(world, claim(id, &[7; 400])).await;
    for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read] {
        let target = ReceiptTarget { whatsapp_ids: vec![whatsapp_id.clone()], status, at: at(300) };
        done(world, Op::Receipt(target)).await;
    }
}

/// Pending, decrypted, received, pending no more.
async fn receive<L: EdgeLedger + OwnerLedger>(world: &World<'_, L>, number: usize) {
    let key = number.to_be_bytes();
    done(world, Op::Put(vec![record(RecordKind::PendingInbound, &key, &[1; 200], 1)])).await;
    done(world, Op::Put(vec![session(number)])).await;
    done(world, Op::Receive(Box::new(incoming(world, number)))).await;
    done(world, Op::Delete { kind: RecordKind::PendingInbound, keys: vec![key.to_vec()] }).await;
}

async fn done<L: EdgeLedger + OwnerLedger>(world: &World<'_, L>, op: Op) {
    assert_eq!(world.commit(op).await, "done");
}

fn incoming<L: EdgeLedger + OwnerLedger>(world: &World<'_, L>, number: usize) -> Inbound {
    let jid = address(number);
    let message = Message {
        chat: jid.clone(),
        author: Some(Person { jid, ..Person::default() }),
        content: text("Thank you, I am at home from eight."),
        ..world.came_in(&format!("IN{number:020X}"))
    };
    let event = NewEvent::message_received(&message, at(60));
    Inbound { message, event, media: None }
}

fn address(number: usize) -> String {
    format!("1555{number:07}@s.whatsapp.net")
}

/// The session that a message moves on: of a few people, so that most are replaced.
fn session(number: usize) -> Record {
    record(RecordKind::Session, format!("1555{:07}.0", number % 50).as_bytes(), &[9; 900], 0)
}

/// Processor time of this process until now.
fn cpu_seconds() -> f64 {
    let fields = stat("self").unwrap_or_default();
    fields.iter().skip(11).take(2).flat_map(|field| field.parse::<f64>()).sum::<f64>() / 100.0
}

/// The fields of a process's `stat` from its state on; `None` if there is no such process.
#[must_use]
pub fn stat(process: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect())
}
