//! What every [`Leases`] does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a contract suite reports by panicking")]

use super::until;
use crate::lease::{Incarnation, Leases};
use std::time::Duration;

async fn is_live(leases: &impl Leases, worker: &str, incarnation: Incarnation) -> bool {
    let standing = leases.standing(&[(worker.to_owned(), incarnation)]).await.unwrap();
    standing.remaining.first().copied().flatten().is_some()
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
/// Short enough to wait for, long enough for a slow adapter to look at it first.
const SHORT: Duration = Duration::from_millis(300);

/// A lease is live from its renewal on, for the given time, and ends by itself.
pub async fn lives_for_its_ttl(leases: impl Leases) {
    let incarnation = Incarnation(1);
    assert!(!is_live(&leases, "a", incarnation).await, "never renewed");
    leases.renew("a", incarnation, SHORT).await.unwrap();
    assert!(is_live(&leases, "a", incarnation).await);
    until("the lease has expired", async || !is_live(&leases, "a", incarnation).await).await;
}

/// A renewal counts from now: it also extends an unexpired lease, and repeating it changes nothing else.
pub async fn renewing_extends(leases: impl Leases) {
    let incarnation = Incarnation(1);
    leases.renew("a", incarnation, SHORT).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.renew("short", incarnation, SHORT).await.unwrap();
    until("a lease of the first length has expired", async || !is_live(&leases, "short", incarnation).await).await;
    assert!(is_live(&leases, "a", incarnation).await);
}

/// A lease belongs to one start of one worker.
pub async fn belongs_to_one_incarnation(leases: impl Leases) {
    leases.renew("a", Incarnation(1), LONG).await.unwrap();
    assert!(!is_live(&leases, "a", Incarnation(2)).await, "another start");
    assert!(!is_live(&leases, "b", Incarnation(1)).await, "another worker");
    leases.renew("a", Incarnation(2), LONG).await.unwrap();
    leases.release("a", Incarnation(1)).await.unwrap();
    assert!(is_live(&leases, "a", Incarnation(2)).await, "releasing the old one leaves the new one");
}

/// A release ends the lease at once; releasing what is not held is no error.
pub async fn release_ends_it_at_once(leases: impl Leases) {
    let incarnation = Incarnation(u64::MAX);
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.release("a", incarnation).await.unwrap();
    assert!(!is_live(&leases, "a", incarnation).await);
    leases.release("a", incarnation).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    assert!(is_live(&leases, "a", incarnation).await, "a release is not for ever");
}

/// Leases are told in the order asked, with the time they still last; the memory keeps its name while it keeps its leases.
pub async fn tells_how_long_each_lasts(leases: impl Leases) {
    leases.renew("a", Incarnation(1), LONG).await.unwrap();
    leases.renew("b", Incarnation(7), LONG / 2).await.unwrap();
    let asked = [("b".to_owned(), Incarnation(7)), ("c".to_owned(), Incarnation(1)), ("a".to_owned(), Incarnation(1))];
    let first = leases.standing(&asked).await.unwrap();
    let [Some(b), None, Some(a)] = first.remaining[..] else { panic!("{first:?}") };
    assert!(b <= LONG / 2 && b > LONG / 4 && a <= LONG && a > LONG / 2, "{first:?}");
    let second = leases.standing(&[]).await.unwrap();
    assert_eq!((second.remaining.len(), second.memory), (0, first.memory));
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh, empty
/// [`Leases`](crate::lease::Leases).
#[macro_export]
macro_rules! lease_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::lease,
            $make,
            [
                lives_for_its_ttl,
                renewing_extends,
                belongs_to_one_incarnation,
                release_ends_it_at_once,
                tells_how_long_each_lasts,
            ]
        );
    };
}
