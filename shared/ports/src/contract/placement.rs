//! What every [`Placement`] does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a contract suite reports by panicking")]

use super::{LIMIT, until};
use crate::placement::{Assignments, Placement, Report};
use std::collections::BTreeMap;
use tokio::sync::watch;
use tokio::time::timeout;
use warren_domain::{Epoch, Shard};

fn now(receiver: &watch::Receiver<Assignments>) -> BTreeMap<Shard, Epoch> {
    BTreeMap::clone(&receiver.borrow())
}

/// At least four shards, as the maker promised.
async fn four(placement: &impl Placement) -> Vec<Shard> {
    let receiver = placement.assignments();
    until("four shards are assigned", async || receiver.borrow().len() >= 4).await;
    now(&receiver).into_keys().take(4).collect()
}

/// The assignments are always the latest, for whoever asks and whenever.
pub async fn shows_the_latest(placement: impl Placement) {
    let shards = four(&placement).await;
    let mut early = placement.assignments();
    let before = now(&early);
    early.mark_unchanged();
    placement.report(Report::LedgerBehind(shards.clone())).await;
    timeout(LIMIT, early.changed()).await.unwrap().unwrap();
    until("a late receiver sees the same", async || {
        let (early, late) = (now(&early), now(&placement.assignments()));
        early == late && early != before
    })
    .await;
}

/// `LedgerBehind` gives those shards higher epochs, each time, and leaves the others.
pub async fn a_ledger_that_went_back_gets_higher_epochs(placement: impl Placement) {
    let shards = four(&placement).await;
    let (behind, rest) = shards.split_at(2);
    let receiver = placement.assignments();
    let first = now(&receiver);
    let mut last = first.clone();
    for _ in 0..3 {
        placement.report(Report::LedgerBehind(behind.to_vec())).await;
        until("both epochs grew", async || {
            let current = now(&receiver);
            behind.iter().all(|shard| current.get(shard) > last.get(shard))
        })
        .await;
        last = now(&receiver);
    }
    assert!(rest.iter().all(|shard| last.get(shard) == first.get(shard)), "the others keep theirs");
}

/// Whatever is reported, and by however many at once, the epoch of a shard never falls.
pub async fn no_epoch_ever_falls(placement: impl Placement) {
    let shards = four(&placement).await;
    let mut receiver = placement.assignments();
    let mut highest = now(&receiver);
    let reports = async {
        for round in 0..10 {
            let some = vec![shards[round % 4], shards[(round + 1) % 4]];
            tokio::join!(
                placement.report(Report::LedgerBehind(some.clone())),
                placement.report(Report::NotTaken(some.clone())),
                placement.report(Report::LedgerBehind(shards.clone())),
            );
        }
    };
    let watched = async {
        while receiver.changed().await.is_ok() {
            for (shard, epoch) in now(&receiver) {
                let known = highest.entry(shard).or_insert(epoch);
                assert!(epoch >= *known, "shard {shard} fell from {known} to {epoch}");
                *known = epoch;
            }
        }
    };
    tokio::select! {
        () = reports => {}
        () = watched => panic!("the placement ended"),
        () = tokio::time::sleep(LIMIT) => panic!("the reports were not heard"),
    }
}

/// A shard that was released vanishes, and stays away until the authority assigns it under a higher epoch.
pub async fn a_released_shard_vanishes(placement: impl Placement) {
    let shards = four(&placement).await;
    let released = shards[0];
    let receiver = placement.assignments();
    let before = now(&receiver)[&released];
    placement.report(Report::Released(vec![released])).await;
    until("it vanished, or came back higher", async || receiver.borrow().get(&released).is_none_or(|epoch| *epoch > before))
        .await;
}

/// Reports are idempotent: a repeated one says nothing new.
pub async fn reports_are_idempotent(placement: impl Placement) {
    let shards = four(&placement).await;
    let receiver = placement.assignments();
    let before = now(&receiver);
    for _ in 0..3 {
        placement.report(Report::Released(vec![shards[0]])).await;
        placement.report(Report::NotTaken(vec![shards[1]])).await;
    }
    until("the others are as they were", async || {
        let current = now(&receiver);
        shards[2..].iter().all(|shard| current.get(shard) == before.get(shard))
    })
    .await;
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh
/// [`Placement`](crate::placement::Placement) that assigns at least four shards.
#[macro_export]
macro_rules! placement_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::placement,
            $make,
            [
                shows_the_latest,
                a_ledger_that_went_back_gets_higher_epochs,
                no_epoch_ever_falls,
                a_released_shard_vanishes,
                reports_are_idempotent,
            ]
        );
    };
}
