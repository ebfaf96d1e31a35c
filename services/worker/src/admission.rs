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
            take_turn(&mut next, Instant::now(), self.spacing)
        };
        tokio::time::sleep_until(turn).await;
        Some(permit)
    }
}

/// The next free turn; up to 10 turns that nobody used may be caught up at once.
fn take_turn(next: &mut Instant, now: Instant, spacing: Duration) -> Instant {
    let earliest = now.checked_sub(spacing * 10).unwrap_or(now);
    let turn = (*next).max(earliest);
    *next = turn + spacing;
    turn
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

    #[test]
    fn admits_at_the_set_rate_and_catches_up_ten_turns() {
        let (start, spacing) = (Instant::now(), Duration::from_millis(100));
        let now = start + Duration::from_secs(60);
        let mut next = start;
        let turns: Vec<_> = (0..31).map(|_| take_turn(&mut next, now, spacing)).collect();
        assert_eq!(turns.iter().filter(|turn| **turn <= now).count(), 11, "ten unused turns and the one that is due");
        assert_eq!(turns.last().map(|turn| turn.duration_since(now)), Some(spacing * 20));
        assert!(turns.windows(2).all(|pair| matches!(pair, [earlier, later] if *later - *earlier == spacing)));
    }

    #[test]
    fn backs_off_to_five_minutes_at_most() {
        for failures in 0..64 {
            assert!(backoff(failures, Duration::from_secs(1)) <= Duration::from_secs(300));
        }
        assert!(backoff(0, Duration::from_secs(1)) <= Duration::from_secs(1));
    }
}
