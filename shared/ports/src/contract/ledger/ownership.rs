//! Epochs in the ledger.

use super::{EPOCH, Subject, World};
use crate::ledger::{Op, Ownership, Taken};
use warren_domain::{Epoch, Shard};

/// An epoch is raised where the stored one is not higher; the same one again is fine; verdicts keep the order.
pub async fn epochs_only_rise(subject: impl Subject) {
    let ledger = subject.ledger();
    assert_eq!(ledger.take(&[(Shard(3), Epoch(5))]).await.unwrap(), [Taken::Raised]);
    let verdicts = ledger.take(&[(Shard(9), Epoch(1)), (Shard(3), Epoch(4)), (Shard(1), Epoch(2))]).await.unwrap();
    assert_eq!(verdicts, [Taken::Raised, Taken::Higher(Epoch(5)), Taken::Raised]);
    assert_eq!(ledger.take(&[(Shard(3), Epoch(5))]).await.unwrap(), [Taken::Raised]);
    assert_eq!(ledger.take(&[(Shard(3), Epoch(6))]).await.unwrap(), [Taken::Raised]);
    assert_eq!(ledger.take(&[]).await.unwrap(), []);
}

/// The highest epoch ever stored; 0 before the first.
pub async fn the_highest_epoch_is_remembered(subject: impl Subject) {
    let ledger = subject.ledger();
    assert_eq!(ledger.highest_epoch().await.unwrap(), Epoch(0));
    ledger.take(&[(Shard(1), Epoch(7)), (Shard(2), Epoch(12)), (Shard(3), Epoch(4))]).await.unwrap();
    ledger.take(&[(Shard(2), Epoch(11))]).await.unwrap();
    assert_eq!(ledger.highest_epoch().await.unwrap(), Epoch(12));
}

/// From the raise on, earlier owners' writes are refused, also those already under way.
pub async fn a_raised_epoch_shuts_the_old_owner_out(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    assert_eq!(world.commit(Op::Barrier).await, "done");
    let raised = [(world.fence.shard, Epoch(EPOCH.0 + 1))];
    let (taken, _) = tokio::join!(world.ledger.take(&raised), world.commit(Op::Barrier));
    assert_eq!(taken.unwrap(), [Taken::Raised]);
    assert_eq!(world.commit(Op::Barrier).await, "ownership lost");
}
