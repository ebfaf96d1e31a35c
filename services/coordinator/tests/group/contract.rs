//! The contract of placement, over a group of three.

use crate::support::Group;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use warren_ports::{
    lease::Leases as _,
    placement::{Assignments, Placement, Report},
};
use warren_raft::RaftPlacement;

/// A worker that only reports what the suite wants, and the group that hears it.
struct Kept {
    placement: RaftPlacement,
    _renewal: AbortOnDropHandle<()>,
    _group: Group,
}

impl Kept {
    async fn make() -> Self {
        let group = Group::start(3).await;
        let client = group.client("a");
        let leases = group.leases.clone();
        let incarnation = client.incarnation;
        let renewal = tokio::spawn(async move {
            loop {
                leases.renew("a", incarnation, Duration::from_secs(3)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let placement = RaftPlacement::connect(client).unwrap();
        Self { placement, _renewal: AbortOnDropHandle::new(renewal), _group: group }
    }
}

#[async_trait]
impl Placement for Kept {
    fn assignments(&self) -> watch::Receiver<Assignments> {
        self.placement.assignments()
    }

    async fn report(&self, report: Report) {
        self.placement.report(report).await;
    }
}

warren_ports::placement_contract!(Kept::make());
