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

/// What a worker says of these shards: they, with the epochs that it has.
fn held(receiver: &watch::Receiver<Assignments>, shards: &[Shard]) -> Vec<(Shard, Epoch)> {
    now(receiver).into_iter().filter(|(shard, _)| shards.contains(shard)).collect()
}

/// The assignments are always the latest, for whoever asks and whenever.
pub async fn shows_the_latest(placement: impl Placement) {
    let shards = four(&placement).await;
    let mut early = placement.assignments();
    let before = now(&early);
    early.mark_unchanged();
    placement.report(Report::LedgerBehind(held(&early, &shards))).await;
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
        placement.report(Report::LedgerBehind(held(&receiver, behind))).await;
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
    let latest = placement.assignments();
    let reports = async {
        for round in 0..10 {
            let some = vec![shards[round % 4], shards[(round + 1) % 4]];
            tokio::join!(
                placement.report(Report::LedgerBehind(held(&latest, &some))),
                placement.report(Report::NotTaken(held(&latest, &some))),
                placement.report(Report::LedgerBehind(held(&latest, &shards))),
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
    placement.report(Report::Released(vec![(released, before)])).await;
    until("it vanished, or came back higher", async || receiver.borrow().get(&released).is_none_or(|epoch| *epoch > before))
        .await;
}

/// Reports are idempotent: a repeated one says nothing new.
pub async fn reports_are_idempotent(placement: impl Placement) {
    let shards = four(&placement).await;
    let receiver = placement.assignments();
    let before = now(&receiver);
    for _ in 0..3 {
        placement.report(Report::Released(vec![(shards[0], before[&shards[0]])])).await;
        placement.report(Report::NotTaken(vec![(shards[1], before[&shards[1]])])).await;
    }
    until("the others are as they were", async || {
        let current = now(&receiver);
        shards[2..].iter().all(|shard| current.get(shard) == before.get(shard))
    })
    .await;
}

/// A report about an epoch that is not the assigned one changes nothing: its sender has not heard the latest yet.
pub async fn a_late_report_changes_nothing(placement: impl Placement) {
    let shards = four(&placement).await;
    let receiver = placement.assignments();
    let before = now(&receiver);
    let older: Vec<_> = shards.iter().map(|shard| (*shard, Epoch(before[shard].0 - 1))).collect();
    placement.report(Report::Released(older.clone())).await;
    placement.report(Report::NotTaken(older.clone())).await;
    placement.report(Report::LedgerBehind(older)).await;
    // What is reported afterwards is heard afterwards.
    let last = shards[3];
    placement.report(Report::LedgerBehind(vec![(last, before[&last])])).await;
    until("the true report was heard", async || receiver.borrow().get(&last) > before.get(&last)).await;
    assert!(shards[..3].iter().all(|shard| receiver.borrow().get(shard) == before.get(shard)));
}

/// That shards were taken changes no assignment, whether it is true or late.
pub async fn a_taken_shard_stays(placement: impl Placement) {
    let shards = four(&placement).await;
    let receiver = placement.assignments();
    let before = now(&receiver);
    placement.report(Report::Taken(held(&receiver, &shards))).await;
    placement.report(Report::Taken(shards.iter().map(|shard| (*shard, Epoch(before[shard].0 - 1))).collect())).await;
    // What is reported afterwards is heard afterwards.
    let last = shards[3];
    placement.report(Report::LedgerBehind(vec![(last, before[&last])])).await;
    until("the true report was heard", async || receiver.borrow().get(&last) > before.get(&last)).await;
    assert!(shards[..3].iter().all(|shard| receiver.borrow().get(shard) == before.get(shard)));
}

/// A worker that drains is left with nothing, once it gave up what vanished.
pub async fn draining_takes_everything_away(placement: impl Placement) {
    four(&placement).await;
    let receiver = placement.assignments();
    let mut held = now(&receiver);
    placement.report(Report::Draining).await;
    until("everything was taken away", async || {
        let current = now(&receiver);
        let gone: Vec<_> = held.iter().filter(|(shard, _)| !current.contains_key(shard)).map(|(s, e)| (*s, *e)).collect();
        held.retain(|shard, _| current.contains_key(shard));
        placement.report(Report::Released(gone)).await;
        held.is_empty() && current.is_empty()
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
                a_late_report_changes_nothing,
                a_taken_shard_stays,
                draining_takes_everything_away,
            ]
        );
    };
}
