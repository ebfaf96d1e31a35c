//! Admission of connects: not faster than WhatsApp takes kindly, not more at once than this machine carries.

use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// One worker's admission.
pub(crate) struct Admission {
    slots: Mutex<Instant>,
    spacing: Duration,
    at_once: Arc<Semaphore>,
}

impl Admission {
    pub(crate) fn new(per_second: u32, at_once: usize) -> Self {
        Self {
            slots: Mutex::new(Instant::now()),
            spacing: Duration::from_secs(1) / per_second.max(1),
            at_once: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Waits for a turn, first come first served. The connect is under way until the permit is dropped.
    pub(crate) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.at_once.clone().acquire_owned().await.ok()?;
        let turn = {
            let mut next = self.slots.lock().await;
            // Up to 10 turns that nobody used may be caught up at once.
            let earliest = Instant::now().checked_sub(self.spacing * 10).unwrap_or_else(Instant::now);
            let turn = (*next).max(earliest);
            *next = turn + self.spacing;
            turn
        };
        tokio::time::sleep_until(turn).await;
        Some(permit)
    }
}

/// How long to wait before attempt `failures + 1`: full jitter over a span that doubles, up to 5 minutes.
pub(crate) fn backoff(failures: u32, first: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(300);
    let span = first.saturating_mul(1_u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(LONGEST);
    span.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn admits_at_the_set_rate() {
        let admission = Admission::new(10, 100);
        let start = Instant::now();
        for _ in 0..31 {
            drop(admission.admit().await);
        }
        // Ten unused turns may be caught up.
        assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
    }

    #[test]
    fn backs_off_to_five_minutes_at_most() {
        for failures in 0..64 {
            assert!(backoff(failures, Duration::from_secs(1)) <= Duration::from_secs(300));
        }
        assert!(backoff(0, Duration::from_secs(1)) <= Duration::from_secs(1));
    }
}
