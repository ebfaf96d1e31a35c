//! The contract suites: each sentence that the traits promise, as a function over any implementation. An adapter's tests
//! stamp them with the macro of the suite, for example `warren_ports::lease_contract!(async { Leases::new() });`.
//!
//! The functions panic when a sentence does not hold.

pub mod bus;
pub mod lease;
pub mod ledger;
pub mod limiter;
pub mod lives;
pub mod objects;
pub mod placement;

use std::time::Duration;

/// How long a suite waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(10);
/// The pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within [`LIMIT`]; `what` names it.
#[expect(clippy::panic, reason = "a contract suite reports by panicking")]
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !condition().await {
        if tokio::time::Instant::now() >= deadline {
            panic!("not within {LIMIT:?}: {what}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Stamps a `#[tokio::test]` for each named function of a suite, over what `$make` gives when it is awaited.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:path, $make:expr, [$($sentence:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                use $suite as suite;
                suite::$sentence($make.await).await;
            }
        )+
    };
}
