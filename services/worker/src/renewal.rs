//! The lease of this worker, and the clock by which it expires itself.

use crate::{owner::LeaseClock, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use warren_ports::lease::Incarnation;
use warren_runtime::Lifecycle;

/// Starts renewing. Every shard of this process shares the clock.
pub(crate) fn start(shared: &Arc<Shared>, lifecycle: &Lifecycle) -> Renewal {
    let options = &shared.options;
    let clock = Arc::new(LeaseClock::new(options.lease_ttl(), options.lease_renewal()));
    let (gaps, woken) = tokio::sync::watch::channel(0_u64);
    lifecycle.spawn_background("lease renewal", renew(shared.clone(), clock.clone(), gaps));
    Renewal { clock, woken }
}

/// What the shards need of the renewal.
pub(crate) struct Renewal {
    pub(crate) clock: Arc<LeaseClock>,
    /// Counts scheduling gaps: after each, the epochs are checked before anything leaves.
    pub(crate) woken: tokio::sync::watch::Receiver<u64>,
}

async fn renew(shared: Arc<Shared>, clock: Arc<LeaseClock>, gaps: tokio::sync::watch::Sender<u64>) {
    let (name, ttl) = (shared.options.name.clone(), shared.options.lease_ttl());
    let incarnation = Incarnation(rand::random());
    let mut tick = tokio::time::interval(shared.options.lease_renewal());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // A lease store that is away stops no account: the beat proves that this process runs, the ledger's epochs decide
        // who owns what.
        if let Err(error) = shared.ports.leases.renew(&name, incarnation, ttl).await {
            tracing::warn!(%error, "the lease could not be renewed; serving goes on");
        }
        if clock.beat() > gap_limit(ttl) {
            clock.suspend();
            gaps.send_modify(|count| *count += 1);
        }
    }
}

/// A gap this long means that the process was paused: somebody may have taken over meanwhile.
fn gap_limit(ttl: Duration) -> Duration {
    ttl / 3
}
