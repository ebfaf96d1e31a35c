//! A group of coordinators in this process, over real sockets and real files, and workers that behave as workers do.

mod group;
mod ledger;
mod leases;
mod worker;

pub(crate) use group::Group;
pub(crate) use leases::LeaseStore;
pub(crate) use ledger::Ledger;
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
