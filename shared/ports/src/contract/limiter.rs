//! What every [`Limiter`] does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a contract suite reports by panicking")]

use super::{LIMIT, until};
use crate::limiter::{Limiter, Rate, Verdict};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate::per_second(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap())
}

/// So slow that nothing comes back while a test runs.
fn slow(burst: u32) -> Rate {
    rate(1, burst)
}

async fn passes(limiter: &impl Limiter, key: &str, rate: Rate) -> bool {
    matches!(limiter.take(key, rate).await, Verdict::Allowed { .. })
}

/// At once, a burst passes and no more; what remains is told, and a refusal counts nothing.
pub async fn passes_a_burst(limiter: impl Limiter) {
    for left in (0..5).rev() {
        assert_eq!(limiter.take("k", slow(5)).await, Verdict::Allowed { remaining: left });
    }
    for _ in 0..3 {
        let Verdict::Limited { retry_after } = limiter.take("k", slow(5)).await else { panic!("a sixth passed") };
        assert!(retry_after <= Duration::from_secs(1) && retry_after > Duration::ZERO, "{retry_after:?}");
    }
}

/// Keys do not share.
pub async fn keys_are_apart(limiter: impl Limiter) {
    assert!(passes(&limiter, "a", slow(1)).await);
    assert!(!passes(&limiter, "a", slow(1)).await);
    assert!(passes(&limiter, "b", slow(1)).await);
}

/// Who looks takes nothing, and is told what taking would be.
pub async fn looking_counts_nothing(limiter: impl Limiter) {
    let rate = Rate::per_minute(NonZeroU32::new(2).unwrap());
    for _ in 0..5 {
        assert_eq!(limiter.look("k", rate).await, Verdict::Allowed { remaining: 1 });
    }
    assert!(passes(&limiter, "k", rate).await && passes(&limiter, "k", rate).await);
    let Verdict::Limited { retry_after } = limiter.look("k", rate).await else { panic!("a third may") };
    assert!(retry_after > Duration::from_secs(20) && retry_after <= Duration::from_secs(30), "{retry_after:?}");
    assert!(!passes(&limiter, "k", rate).await);
}

/// Over any time, no more than the burst and the rate pass, whoever asks; and that much does.
pub async fn never_passes_more_than_the_rate(limiter: impl Limiter) {
    let (rate, started) = (rate(50, 5), Instant::now());
    let mut passed = 0_u32;
    while started.elapsed() < Duration::from_millis(600) {
        let verdicts = futures::future::join_all((0..4).map(|_| limiter.take("k", rate))).await;
        passed += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Allowed { .. })).count() as u32;
        // Looked at after the takes: whatever passed, passed before this moment.
        let most = 5.0 + started.elapsed().as_secs_f64() * 50.0 + 1.0;
        assert!(f64::from(passed) <= most, "{passed} passed in {:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(passed >= 20, "only {passed} passed in {:?}", started.elapsed());
}

/// Who was refused may come when it was told.
pub async fn a_refusal_says_when(limiter: impl Limiter) {
    let rate = rate(5, 1);
    assert!(passes(&limiter, "k", rate).await);
    let asked = Instant::now();
    let Verdict::Limited { retry_after } = limiter.take("k", rate).await else { panic!("a second passed") };
    assert!(retry_after <= Duration::from_millis(200));
    until("it passes again", async || passes(&limiter, "k", rate).await).await;
    assert!(asked.elapsed() + Duration::from_millis(20) >= retry_after && asked.elapsed() < LIMIT);
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh
/// [`Limiter`](crate::limiter::Limiter).
#[macro_export]
macro_rules! limiter_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::limiter,
            $make,
            [passes_a_burst, keys_are_apart, looking_counts_nothing, never_passes_more_than_the_rate, a_refusal_says_when,]
        );
    };
}
