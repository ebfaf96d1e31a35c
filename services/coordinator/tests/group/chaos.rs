//! Everything at once, at random: workers and coordinators die, stop, pause and come back, and leases are forgotten.

use crate::support::{Group, Worker, until};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// How long it goes on.
const SPAN: Duration = Duration::from_secs(15);

struct Chaos {
    group: Group,
    random: StdRng,
    workers: BTreeMap<&'static str, Worker>,
    is_paused: BTreeMap<&'static str, bool>,
    is_away: bool,
}

impl Chaos {
    async fn act(&mut self) -> String {
        let name = NAMES[self.random.random_range(0..NAMES.len())];
        let node = self.random.random_range(1..=3);
        match self.random.random_range(0..12) {
            0..=2 => self.toggle_worker(name),
            3 => match self.workers.remove(name) {
                Some(worker) if !self.is_paused[name] => {
                    self.group.ledger.distrust(&worker.id());
                    tokio::spawn(worker.stop());
                    format!("{name} stops")
                }
                Some(worker) => {
                    self.workers.insert(name, worker);
                    self.resume(name)
                }
                None => self.toggle_worker(name),
            },
            4 | 5 if self.is_paused[name] => self.resume(name),
            4 | 5 => match self.workers.get(name) {
                Some(worker) => {
                    self.group.ledger.distrust(&worker.id());
                    worker.pause();
                    self.is_paused.insert(name, true);
                    format!("{name} is paused")
                }
                None => self.toggle_worker(name),
            },
            6 => {
                self.group.leases.flush();
                "the lease store forgets".to_owned()
            }
            7 => {
                self.is_away = !self.is_away;
                self.group.leases.set_away(self.is_away);
                format!("the lease store is away: {}", self.is_away)
            }
            8 if self.group.is_running(node) => {
                self.group.kill(node).await;
                format!("coordinator {node} is killed")
            }
            9 if self.group.leads().is_some() => {
                let leader = self.group.leads().unwrap();
                self.group.kill(leader).await;
                format!("the leader {leader} is killed")
            }
            _ => {
                let down = (1..=3).find(|node| !self.group.is_running(*node));
                match down {
                    Some(node) => {
                        self.group.start_node(node).await;
                        format!("coordinator {node} is back")
                    }
                    None => self.toggle_worker(name),
                }
            }
        }
    }

    fn toggle_worker(&mut self, name: &'static str) -> String {
        self.is_paused.insert(name, false);
        if let Some(worker) = self.workers.remove(name) {
            worker.kill();
            return format!("{name} is killed");
        }
        let worker = self.group.worker(name);
        self.group.ledger.trust(&worker.id());
        self.workers.insert(name, worker);
        format!("{name} starts")
    }

    fn resume(&mut self, name: &'static str) -> String {
        self.is_paused.insert(name, false);
        if let Some(worker) = self.workers.get(name) {
            worker.resume();
        }
        format!("{name} goes on")
    }

    async fn heal(&mut self) {
        self.group.leases.set_away(false);
        for node in 1..=3 {
            if !self.group.is_running(node) {
                self.group.start_node(node).await;
            }
        }
        for name in NAMES {
            self.resume(name);
            if !self.workers.contains_key(name) {
                self.toggle_worker(name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_it_heals_and_nobody_owns_a_shard_twice() {
    let seed = std::env::var("WARREN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("WARREN_TEST_SEED={seed}");
    let mut chaos = Chaos {
        group: Group::start(3).await,
        random: StdRng::seed_from_u64(seed),
        workers: BTreeMap::new(),
        is_paused: NAMES.into_iter().map(|name| (name, false)).collect(),
        is_away: false,
    };
    for name in NAMES {
        chaos.toggle_worker(name);
    }
    chaos.group.balanced(&NAMES).await;
    let start = Instant::now();
    while start.elapsed() < SPAN {
        let what = chaos.act().await;
        println!("{:5} ms: {what}", start.elapsed().as_millis());
        let pause = Duration::from_millis(chaos.random.random_range(50..500));
        tokio::time::sleep(pause).await;
    }
    println!("{:5} ms: it heals", start.elapsed().as_millis());
    chaos.heal().await;
    until("everybody has just what the ledger knows", async || {
        let mut owned = BTreeMap::new();
        for worker in chaos.workers.values() {
            for (shard, epoch) in worker.assigned() {
                if owned.insert(shard, (worker.id(), epoch)).is_some() {
                    return false;
                }
            }
        }
        owned.len() == 64 && owned == chaos.group.ledger.owners()
    })
    .await;
    chaos.group.balanced(&NAMES).await;
    println!(
        "{:5} ms: it is balanced; {} shards were taken in all",
        start.elapsed().as_millis(),
        chaos.group.ledger.takes()
    );
    assert_eq!(chaos.group.ledger.robbed(), 0, "a shard was taken from a worker that was well");
}
