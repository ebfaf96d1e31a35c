//! What every [`Leases`] does.

#![expect(clippy::unwrap_used, reason = "a contract suite reports by panicking")]

use super::until;
use crate::lease::{Incarnation, Leases};
use std::time::Duration;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
/// Short enough to wait for, long enough for a slow adapter to look at it first.
const SHORT: Duration = Duration::from_millis(300);

/// A lease is live from its renewal on, for the given time, and ends by itself.
pub async fn lives_for_its_ttl(leases: impl Leases) {
    let incarnation = Incarnation(1);
    assert!(!leases.is_live("a", incarnation).await.unwrap(), "never renewed");
    leases.renew("a", incarnation, SHORT).await.unwrap();
    assert!(leases.is_live("a", incarnation).await.unwrap());
    until("the lease has expired", async || !leases.is_live("a", incarnation).await.unwrap()).await;
}

/// A renewal counts from now: it also extends an unexpired lease, and repeating it changes nothing else.
pub async fn renewing_extends(leases: impl Leases) {
    let incarnation = Incarnation(1);
    leases.renew("a", incarnation, SHORT).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.renew("short", incarnation, SHORT).await.unwrap();
    until("a lease of the first length has expired", async || !leases.is_live("short", incarnation).await.unwrap()).await;
    assert!(leases.is_live("a", incarnation).await.unwrap());
}

/// A lease belongs to one start of one worker.
pub async fn belongs_to_one_incarnation(leases: impl Leases) {
    leases.renew("a", Incarnation(1), LONG).await.unwrap();
    assert!(!leases.is_live("a", Incarnation(2)).await.unwrap(), "another start");
    assert!(!leases.is_live("b", Incarnation(1)).await.unwrap(), "another worker");
    leases.renew("a", Incarnation(2), LONG).await.unwrap();
    leases.release("a", Incarnation(1)).await.unwrap();
    assert!(leases.is_live("a", Incarnation(2)).await.unwrap(), "releasing the old one leaves the new one");
}

/// A release ends the lease at once; releasing what is not held is no error.
pub async fn release_ends_it_at_once(leases: impl Leases) {
    let incarnation = Incarnation(u64::MAX);
    leases.renew("a", incarnation, LONG).await.unwrap();
    leases.release("a", incarnation).await.unwrap();
    assert!(!leases.is_live("a", incarnation).await.unwrap());
    leases.release("a", incarnation).await.unwrap();
    leases.renew("a", incarnation, LONG).await.unwrap();
    assert!(leases.is_live("a", incarnation).await.unwrap(), "a release is not for ever");
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh, empty
/// [`Leases`](crate::lease::Leases).
#[macro_export]
macro_rules! lease_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::lease,
            $make,
            [lives_for_its_ttl, renewing_extends, belongs_to_one_incarnation, release_ends_it_at_once,]
        );
    };
}
