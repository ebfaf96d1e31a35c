//! The edge out: webhooks, delivered from the event log.
//!
//! A dispatcher is a reader of the log, as a stream is: it never blocks or slows whoever writes it. Several share the webhooks
//! of a cluster: each webhook is worked on by one of them, under a claim in the ledger that another one takes when this one
//! gives no sign of life. Start reading at [`run`], then `claims` (which webhooks are ours), `courier` (one webhook: what is
//! read, posted, recorded) and, in it, `flow` (order, lanes and positions: a state without I/O).

mod bells;
mod claims;
mod courier;
mod metrics;
mod options;
mod recorder;
mod shared;

pub use options::Options;

use metrics::DispatcherMetrics;
use recorder::Recorder;
use shared::{Parts, Shared};
use std::sync::Arc;
use std::time::Duration;
use warren_domain::{DispatcherId, Error, Result, time::Clock};
use warren_egress::Guard;
use warren_ports::{bus::Bus, ledger::DispatcherLedger};
use warren_runtime::{Health, Lifecycle, Metrics};

/// How long an unused connection to a receiver is kept: shorter than common servers keep theirs, so that a post does not meet
/// one that is just being closed.
const CONNECTION_IDLE: Duration = Duration::from_secs(4);
/// The pause before the ledger is asked again at the start.
const START_PAUSE: Duration = Duration::from_millis(500);

/// What the dispatcher needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// The log, the webhooks, and what is kept of their delivery.
    pub ledger: Arc<dyn DispatcherLedger>,
    /// The bell of the log.
    pub bus: Arc<dyn Bus>,
    /// What posts to the addresses that tenants named.
    pub egress: Guard,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where its metrics are registered.
    pub metrics: Metrics,
    /// What `/readyz` reports; the dispatcher adds its own check, `dispatcher`: it passes while its claims hold.
    pub health: Health,
}

/// Runs a dispatcher until the lifecycle stops it: then it finishes the posts that are under way, records them, and gives its
/// webhooks to the others.
///
/// # Errors
/// `Invalid` for settings that make no sense, `Internal` if no HTTP client can be made; nothing was started then.
pub async fn run(options: Options, ports: Ports, lifecycle: Lifecycle) -> Result<()> {
    options.validate().map_err(|message| Error::invalid("invalid_settings", message))?;
    let guard = ports.egress.keeping_connections(options.in_flight_per_webhook, CONNECTION_IDLE).map_err(Error::internal)?;
    let check = ports.health.check("dispatcher");
    let Some(bounds) = first_bounds(&ports, &lifecycle).await else { return Ok(()) };
    let (recorder, recording) = Recorder::new(Arc::clone(&ports.ledger));
    lifecycle.spawn(recording.run());
    let shared = Shared::new(Parts {
        metrics: DispatcherMetrics::new(&ports.metrics),
        options,
        ledger: ports.ledger,
        bus: ports.bus,
        clock: ports.clock,
        guard,
        recorder,
        log: bounds.log,
        oldest: bounds.oldest,
    });
    claims::Claims::new(shared, DispatcherId::generate(), check, lifecycle.clone()).run().await;
    Ok(())
}

/// Which log this is; asked until the ledger answers. `None` if the stop came first.
async fn first_bounds(ports: &Ports, lifecycle: &Lifecycle) -> Option<warren_ports::ledger::LogBounds> {
    let mut is_warned = false;
    loop {
        match ports.ledger.log_bounds().await {
            Ok(bounds) => return Some(bounds),
            Err(error) if !is_warned => {
                tracing::warn!(code = error.code, "the ledger does not answer; the dispatcher waits for it");
                is_warned = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(START_PAUSE) => {}
            () = lifecycle.stopping() => return None,
        }
    }
}
