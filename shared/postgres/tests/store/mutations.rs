//! A check that cannot fail is worth nothing: with one protection of the store switched off, what the protection is for is seen
//! to be violated.

use crate::faults::{LateCommits, late_commits};
use crate::ownership::contended;
use crate::world::{numbers, options};
use warren_postgres::{Options, Postgres};
use warren_testkit::services::Postgres as Server;

/// I3: the epochs of committed writes never fall.
#[tokio::test(flavor = "multi_thread")]
async fn fence_off_is_caught() {
    let database = Server::database().await.unwrap();
    let unfenced = async || {
        let options = Options { mutation: Some("fence_off"), ..options(database.url()) };
        Postgres::open(options).await.unwrap()
    };
    let (one, two) = (unfenced().await, unfenced().await);
    let all = contended(&one, &two).await;
    assert!(all.iter().any(|events| !numbers(events).is_sorted()), "no epoch fell");
}

/// Nobody is told that a write was refused that is there: a lane that does not know that its former connection is gone repeats
/// a batch beside it.
#[tokio::test(flavor = "multi_thread")]
async fn late_statement_is_caught() {
    let mutate = |options| Options { mutation: Some("late_statement"), ..options };
    let LateCommits { logged, denied, overlapped } = late_commits(4, mutate).await;
    assert!(overlapped, "the former connection was gone");
    assert!(denied.iter().any(|number| logged.contains(number)), "no late commit landed: {logged:?}, {denied:?}");
}
