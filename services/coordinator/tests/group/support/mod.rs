//! A group of coordinators in this process, over real sockets and real files, and workers that behave as workers do.

mod authority;
mod group;
mod leases;
mod ledger;
mod proxy;
mod worker;

pub(crate) use authority::Authority;
pub(crate) use group::{CLUSTER, Group, SECRET};
pub(crate) use leases::LeaseStore;
pub(crate) use ledger::Ledger;
pub(crate) use proxy::Proxy;
pub(crate) use worker::{Behaviour, Worker};

use std::time::Duration;

/// How long a test waits for what normally takes much less: other tests share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = warren_testkit::eventually(what, PATIENCE, async || Ok(holds().await.then_some(())));
    if let Err(error) = waited.await {
        panic!("{error:#}");
    }
}

/// Watches that something holds for as long as this.
pub(crate) async fn holds_for(span: Duration, what: &str, holds: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < end {
        assert!(holds(), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The middle one and the last one.
pub(crate) fn median_and_worst(mut spans: Vec<Duration>) -> (Duration, Duration) {
    spans.sort();
    (spans[spans.len() / 2], spans[spans.len() - 1])
}
