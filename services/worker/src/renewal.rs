//! The lease of this worker, and the clock by which it expires itself.
//!
//! A pause of the whole process is seen by a thread of its own: after it, thousands of tasks are ready at once, and the one that
//! renews the lease is somewhere among them. That one looks as well, for a runtime that stands still while threads run.

use crate::{owner::LeaseClock, shared::Shared};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use warren_runtime::Lifecycle;

/// Starts renewing. Every shard of this process shares the clock.
pub(crate) fn start(shared: &Arc<Shared>, lifecycle: &Lifecycle) -> Renewal {
    let options = &shared.options;
    let clock = Arc::new(LeaseClock::new(options.lease_ttl(), options.lease_renewal()));
    let (gaps, woken) = watch::channel(0_u64);
    let ended = CancellationToken::new();
    look_out(clock.clone(), gaps.clone(), gap_limit(options.lease_ttl()));
    lifecycle.spawn_background("lease renewal", renew(shared.clone(), clock.clone(), gaps, ended.clone()));
    Renewal { clock, woken, ended }
}

/// What the shards need of the renewal.
pub(crate) struct Renewal {
    pub(crate) clock: Arc<LeaseClock>,
    /// Counts scheduling gaps: after each, the epochs are checked before anything leaves.
    pub(crate) woken: watch::Receiver<u64>,
    /// Cancelled when nothing is owned any more, for good: the lease is released.
    pub(crate) ended: CancellationToken,
}

/// Looks for pauses of the process, from a thread that ends when nobody wants to know any more.
fn look_out(clock: Arc<LeaseClock>, gaps: watch::Sender<u64>, limit: Duration) {
    let look = move || {
        let mut last = Instant::now();
        while !gaps.is_closed() {
            thread::sleep(limit / 4);
            if last.elapsed() > limit {
                // In this order: it must not pass for one that runs and may act.
                clock.suspend();
                clock.beat();
                gaps.send_modify(|count| *count += 1);
            }
            last = Instant::now();
        }
    };
    if let Err(error) = thread::Builder::new().name("pauses".to_owned()).spawn(look) {
        tracing::warn!(%error, "no thread to look out for pauses: the renewal of the lease sees them, later");
    }
}

async fn renew(shared: Arc<Shared>, clock: Arc<LeaseClock>, gaps: watch::Sender<u64>, ended: CancellationToken) {
    let (name, ttl) = (shared.options.name.clone(), shared.options.lease_ttl());
    let (leases, incarnation) = (&shared.ports.leases, shared.ports.incarnation);
    let mut tick = tokio::time::interval(shared.options.lease_renewal());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            _ = tick.tick() => {}
        }
        // Before the lease store is asked: whether it answers says nothing about this process, which has just run.
        if clock.beat() > gap_limit(ttl) {
            clock.suspend();
            gaps.send_modify(|count| *count += 1);
        }
        // A lease store that is away stops no account: the ledger's epochs decide who owns what.
        let renewed = leases.renew(&name, incarnation, ttl).await;
        match &renewed {
            Err(error) if !is_away => tracing::warn!(%error, "the lease cannot be renewed; serving goes on"),
            Ok(()) if is_away => tracing::info!("the lease is renewed again"),
            _ => {}
        }
        is_away = renewed.is_err();
    }
    if let Err(error) = leases.release(&name, incarnation).await {
        tracing::debug!(%error, "the lease was not released; it runs out");
    }
    // It counts as an essential task: it has no end of its own before the process ends.
    std::future::pending::<()>().await;
}

/// A gap this long means that the process was paused: somebody may have taken over meanwhile.
fn gap_limit(ttl: Duration) -> Duration {
    ttl / 3
}
