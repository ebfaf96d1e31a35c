//! Which webhooks are this dispatcher's: it says that it lives, takes what is nobody's, gives back what is more than its share,
//! and has a courier for each.

use crate::bells::Bells;
use crate::courier::{Courier, NOTHING_WAITS, Order};
use crate::shared::Shared;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::MissedTickBehavior;
use warren_domain::{DispatcherId, WebhookId};
use warren_ports::ledger::{Assignment, Claim, Claimed, Claiming, Held};
use warren_runtime::{Lifecycle, health::Check};

/// How many webhooks are taken at a time: a new dispatcher shall not take all before the others say that they live.
const MOST: u32 = 256;
/// How long couriers may take to finish at the stop.
const GOODBYE: Duration = Duration::from_secs(12);
/// How often the log is asked what it has lost.
const BOUNDS_EVERY: Duration = Duration::from_secs(30);
/// How often old rows are removed, and how many at a time.
const TIDY_EVERY: Duration = Duration::from_secs(60);
const TIDY_ROWS: u32 = 500;
const TIDY_ROUNDS: u32 = 20;

/// A courier at work.
struct AtWork {
    claim: Claim,
    orders: watch::Sender<Order>,
    task: Id,
    /// When the oldest event that waits there happened, milliseconds.
    oldest: Arc<AtomicI64>,
}

/// The dispatcher's webhooks.
pub(crate) struct Claims {
    shared: Arc<Shared>,
    me: DispatcherId,
    check: Check,
    lifecycle: Lifecycle,
    bells: Bells,
    at_work: HashMap<WebhookId, AtWork>,
    couriers: JoinSet<()>,
    bounds_at: Instant,
    tidied_at: Instant,
    is_failing: bool,
}

impl Claims {
    pub(crate) fn new(shared: Arc<Shared>, me: DispatcherId, check: Check, lifecycle: Lifecycle) -> Self {
        let now = Instant::now();
        Self {
            bells: Bells::new(Arc::clone(&shared.bus), lifecycle.clone()),
            at_work: HashMap::new(),
            couriers: JoinSet::new(),
            bounds_at: now,
            tidied_at: now,
            is_failing: false,
            shared,
            me,
            check,
            lifecycle,
        }
    }

    /// Works until the stop.
    pub(crate) async fn run(mut self) {
        let mut sweep = tokio::time::interval(self.shared.options.sweep());
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lifecycle = self.lifecycle.clone();
        loop {
            tokio::select! {
                _ = sweep.tick() => self.sweep().await,
                Some(ended) = self.couriers.join_next_with_id() => self.note_end(ended),
                () = lifecycle.stopping() => break,
            }
        }
        self.check.set(false);
        self.stop().await;
    }

    async fn sweep(&mut self) {
        let sent = Instant::now();
        let claiming = Claiming { dispatcher: self.me, ttl: self.shared.options.claim_ttl(), most: MOST };
        match self.shared.ledger.claim(claiming).await {
            Ok(claimed) => {
                self.shared.lease.renewed(sent);
                self.follow(claimed).await;
                self.is_failing = false;
            }
            Err(error) => {
                if !self.is_failing {
                    tracing::warn!(code = error.code, "the dispatcher cannot renew its claims; trying again");
                }
                self.is_failing = true;
            }
        }
        self.check.set(self.shared.lease.holds());
        self.show();
        if self.bounds_at.elapsed() >= BOUNDS_EVERY {
            self.bounds_at = Instant::now();
            self.look_at_the_log().await;
        }
        if self.tidied_at.elapsed() >= TIDY_EVERY {
            self.tidied_at = Instant::now();
            self.tidy();
        }
    }

    /// Has couriers for what is held, and for nothing else.
    async fn follow(&mut self, claimed: Claimed) {
        let Claimed { held, taken, share } = claimed;
        let held: HashMap<WebhookId, Held> = held.into_iter().map(|held| (held.claim.webhook, held)).collect();
        for (webhook, at_work) in &self.at_work {
            let stop = held.get(webhook).is_none_or(|held| held.claim != at_work.claim);
            let version = held.get(webhook).map_or(0, |held| held.version);
            at_work.orders.send_if_modified(|order| {
                let next = Order { version: order.version.max(version), stop: order.stop || stop };
                std::mem::replace(order, next) != next
            });
        }
        for assignment in taken {
            self.start(assignment);
        }
        // Held, and nobody works on it: it was disabled and is enabled again, or its courier came to an end.
        let orphans = held.values().filter(|held| !self.at_work.contains_key(&held.claim.webhook));
        let orphans: Vec<Claim> = orphans.map(|held| held.claim).collect();
        for claim in orphans {
            match self.shared.ledger.assignment(claim).await {
                Ok(Some(assignment)) => self.start(assignment),
                Ok(None) => {}
                Err(error) => tracing::debug!(code = error.code, "a webhook cannot be read"),
            }
        }
        self.share_out(held.len(), share as usize);
    }

    /// Gives back what is more than a fair share: those couriers finish, and then it is given back.
    fn share_out(&self, held: usize, share: usize) {
        for at_work in self.at_work.values().take(held.saturating_sub(share)) {
            at_work.orders.send_modify(|order| order.stop = true);
        }
    }

    fn start(&mut self, assignment: Assignment) {
        let (claim, version) = (assignment.claim, assignment.version);
        if let Some(before) = self.at_work.get(&claim.webhook) {
            // It was lost and taken again; the courier before ends, and then this one is an orphan.
            before.orders.send_modify(|order| order.stop = true);
            return;
        }
        let (orders, received) = watch::channel(Order { version, stop: false });
        let oldest = Arc::new(AtomicI64::new(NOTHING_WAITS));
        let bell = self.bells.of(assignment.webhook.tenant);
        let courier = Courier::new(Arc::clone(&self.shared), assignment, received, bell, Arc::clone(&oldest));
        let task = self.couriers.spawn(Box::pin(courier.run())).id();
        self.at_work.insert(claim.webhook, AtWork { claim, orders, task, oldest });
    }

    /// A courier came to its end. If it was told to, the webhook is given back, unless it is another one's by now.
    fn note_end(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                tracing::error!(%error, "a courier broke off");
                error.id()
            }
        };
        let found = self.at_work.iter().find(|(_, at_work)| at_work.task == task).map(|(webhook, _)| *webhook);
        let Some(at_work) = found.and_then(|webhook| self.at_work.remove(&webhook)) else { return };
        if at_work.orders.borrow().stop {
            let (shared, claim) = (Arc::clone(&self.shared), at_work.claim);
            self.lifecycle.spawn(async move {
                // If it does not succeed, the next sweep has an orphan, and starts again with it.
                let _ = shared.ledger.give_back(&[claim]).await;
            });
        }
    }

    fn show(&self) {
        self.shared.couriers(self.at_work.len());
        let metrics = &self.shared.metrics;
        metrics.webhooks.set(i64::try_from(self.at_work.len()).unwrap_or(i64::MAX));
        let oldest = self.at_work.values().map(|at_work| at_work.oldest.load(Ordering::Relaxed)).min();
        let oldest = oldest.filter(|oldest| *oldest != NOTHING_WAITS);
        let lag_ms = oldest.map_or(0, |oldest| self.shared.now().as_millis().saturating_sub(oldest));
        metrics.lag.set(lag_ms.max(0) / 1_000);
    }

    async fn look_at_the_log(&self) {
        if let Ok(bounds) = self.shared.ledger.log_bounds().await {
            self.shared.oldest.store(bounds.oldest, Ordering::Relaxed);
        }
    }

    /// Removes old dead letters, and what is left of deleted webhooks, beside everything else.
    fn tidy(&self) {
        let shared = Arc::clone(&self.shared);
        let before = shared.now().before(Duration::from_secs(shared.options.dead_letter_retention_s));
        self.lifecycle.spawn(async move {
            for _ in 0..TIDY_ROUNDS {
                if !matches!(shared.ledger.tidy_webhooks(before, TIDY_ROWS).await, Ok(true)) {
                    return;
                }
            }
        });
    }

    /// Lets couriers finish, and says that this dispatcher ends.
    async fn stop(mut self) {
        for at_work in self.at_work.values() {
            at_work.orders.send_modify(|order| order.stop = true);
        }
        let finished = async { while self.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(GOODBYE, finished).await.is_err() {
            tracing::warn!("posts to webhooks were cut off by the stop; they are repeated");
        }
        self.couriers.shutdown().await;
        if let Err(error) = self.shared.ledger.leave(self.me).await {
            tracing::debug!(code = error.code, "the ledger was not told that this dispatcher ends");
        }
    }
}
