//! The lease of this worker, and the clock by which it expires itself.
//!
//! Both live on a thread apart. A storm of logins keeps the tasks of a worker waiting for seconds, and a worker that is merely
//! late must not be taken for dead: its instances would be the next one's storm. The other way around, a worker whose tasks get
//! no turn at all must not keep its shards because one thread of it still runs: it shows a pulse from among its tasks, and when
//! that stops, the lease runs out.

use crate::{beat::Beat, metrics::WorkerMetrics, owner::LeaseClock, shared::Shared};
use prometheus::Histogram;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use warren_ports::lease::{Incarnation, Leases};
use warren_runtime::Lifecycle;

/// How long the end of a worker waits for the release of its lease.
const RELEASE: Duration = Duration::from_secs(1);
/// How often a worker's tasks show that they get their turns.
const PULSE: Duration = Duration::from_millis(250);

/// Starts renewing. Every shard of this process shares the clock.
pub(crate) fn start(shared: &Arc<Shared>, lifecycle: &Lifecycle) -> Renewal {
    let (options, ports) = (&shared.options, &shared.ports);
    let lease = Lease {
        leases: ports.leases.clone(),
        name: options.name.clone(),
        incarnation: ports.incarnation,
        ttl: options.lease_ttl(),
        renewal: options.lease_renewal(),
        stuck: options.stuck_after(),
    };
    begin(lease, &shared.metrics, &ports.apart, lifecycle)
}

/// What the shards need of the renewal.
pub(crate) struct Renewal {
    pub(crate) clock: Arc<LeaseClock>,
    /// Changes with every gap of the clock, from its beginning on: the epochs are to be checked then.
    pub(crate) woken: watch::Receiver<u64>,
    /// Cancelled when nothing is owned any more, for good: the lease is released.
    ended: CancellationToken,
    /// Cancelled when that was done, or tried.
    released: CancellationToken,
}

impl Renewal {
    /// Nothing is owned any more, for good: releases the lease. If the lease store does not answer, it runs out.
    pub(crate) async fn end(&self) {
        self.ended.cancel();
        let _ = tokio::time::timeout(RELEASE, self.released.cancelled()).await;
    }
}

/// What is renewed.
struct Lease {
    leases: Arc<dyn Leases>,
    name: String,
    incarnation: Incarnation,
    ttl: Duration,
    renewal: Duration,
    /// Without a pulse for so long, it is not renewed.
    stuck: Duration,
}

fn begin(lease: Lease, metrics: &WorkerMetrics, apart: &Handle, lifecycle: &Lifecycle) -> Renewal {
    let clock = Arc::new(LeaseClock::new(lease.ttl, lease.renewal));
    let woken = clock.woken();
    let (ended, released) = (CancellationToken::new(), CancellationToken::new());
    let pulse = Arc::new(Beat::new());
    lifecycle.spawn_background("pulse", show_pulse(pulse.clone(), metrics.turn_seconds.clone()));
    let _entered = apart.enter();
    // A gap this long means that the process was paused.
    lifecycle.spawn_background("pauses", look_out(clock.clone(), lease.ttl / 3));
    lifecycle.spawn_background("lease renewal", lease.renew(clock.clone(), pulse, ended.clone(), released.clone()));
    Renewal { clock, woken, ended, released }
}

/// Among the tasks of the worker: how long one waits for its turn, and that it gets it.
async fn show_pulse(pulse: Arc<Beat>, turns: Histogram) {
    loop {
        let due = Instant::now() + PULSE;
        tokio::time::sleep(PULSE).await;
        turns.observe(due.elapsed().as_secs_f64());
        pulse.beat();
    }
}

/// Looks for pauses of the process.
async fn look_out(clock: Arc<LeaseClock>, limit: Duration) {
    let mut last = Instant::now();
    loop {
        if last.elapsed() > limit {
            clock.suspend();
        }
        // After that: it must not pass for one that runs and may act.
        last = Instant::now();
        clock.beat();
        tokio::time::sleep(limit / 4).await;
    }
}

impl Lease {
    async fn renew(self, clock: Arc<LeaseClock>, pulse: Arc<Beat>, ended: CancellationToken, released: CancellationToken) {
        let mut tick = tokio::time::interval(self.renewal);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_away, mut is_stuck) = (false, false);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                _ = tick.tick() => {}
            }
            // When the whole process stood still, the worker's tasks had no time to show their pulse yet.
            let ran = std::mem::replace(&mut last, Instant::now()).elapsed() < self.stuck;
            let was_stuck = std::mem::replace(&mut is_stuck, ran && pulse.age() > self.stuck);
            if is_stuck {
                clock.suspend();
                if !was_stuck {
                    tracing::error!("no task of this worker gets its turn; its lease runs out, so that others take over");
                }
                continue;
            }
            // A lease store that is away stops no account: the ledger's epochs decide who owns what.
            let renewed = self.leases.renew(&self.name, self.incarnation, self.ttl).await;
            match &renewed {
                Err(error) if !is_away => tracing::warn!(%error, "the lease cannot be renewed; serving goes on"),
                Ok(()) if is_away => tracing::info!("the lease is renewed again"),
                _ => {}
            }
            is_away = renewed.is_err();
        }
        if let Err(error) = self.leases.release(&self.name, self.incarnation).await {
            tracing::debug!(%error, "the lease was not released; it runs out");
        }
        released.cancel();
        // It counts as an essential task: it has no end of its own before the process ends.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };
    use warren_domain::Result;
    use warren_ports::lease::Standing;
    use warren_runtime::{Apart, Metrics};

    const LIMIT: Duration = Duration::from_secs(20);

    /// Counts.
    #[derive(Default)]
    struct Counting {
        renewals: AtomicUsize,
        released: AtomicUsize,
    }

    #[async_trait]
    impl Leases for Counting {
        async fn renew(&self, _: &str, _: Incarnation, _: Duration) -> Result<()> {
            self.renewals.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        async fn standing(&self, _: &[(String, Incarnation)]) -> Result<Standing> {
            Ok(Standing { remaining: Vec::new(), memory: 0 })
        }

        async fn release(&self, _: &str, _: Incarnation) -> Result<()> {
            self.released.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    struct World {
        leases: Arc<Counting>,
        renewal: Renewal,
        lifecycle: Lifecycle,
        _apart: Apart,
    }

    impl World {
        fn new(stuck: Duration) -> Self {
            let (leases, lifecycle) = (Arc::new(Counting::default()), Lifecycle::new());
            let apart = Apart::start("apart").unwrap();
            let lease = Lease {
                leases: leases.clone(),
                name: "one".to_owned(),
                incarnation: Incarnation(1),
                ttl: LIMIT * 3,
                renewal: Duration::from_millis(5),
                stuck,
            };
            let renewal = begin(lease, &WorkerMetrics::new(&Metrics::new()), &apart.handle(), &lifecycle);
            Self { leases, renewal, lifecycle, _apart: apart }
        }

        fn renewals(&self) -> usize {
            self.leases.renewals.load(Ordering::SeqCst)
        }
    }

    /// Waits without giving any task of the test's runtime its turn.
    fn block_until(what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < LIMIT, "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < LIMIT, "{what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_worker_that_is_late_keeps_its_lease() {
        let world = World::new(LIMIT * 2);
        until("it is renewed", || world.renewals() > 0).await;
        let before = world.renewals();
        block_until("it is renewed meanwhile", || world.renewals() > before + 20);
        assert!(world.renewal.clock.is_valid() && !world.renewal.woken.has_changed().unwrap());
        world.renewal.end().await;
        assert_eq!(world.leases.released.load(Ordering::SeqCst), 1);
        assert!(world.lifecycle.stop(LIMIT, std::future::pending()).await);
    }

    #[tokio::test]
    async fn a_worker_that_is_stuck_lets_it_run_out() {
        let world = World::new(PULSE * 4);
        until("it is renewed", || world.renewals() > 0).await;
        block_until("it may not act any more", || !world.renewal.clock.is_valid());
        assert!(world.renewal.woken.has_changed().unwrap(), "the epochs are to be checked");
        let last = world.renewals();
        until("it is renewed again when its tasks run", || world.renewals() > last + 1).await;
        assert!(!world.renewal.clock.is_valid(), "but may not act before that");
        world.renewal.clock.resume(world.renewal.clock.gaps());
        assert!(world.renewal.clock.is_valid());
    }
}
