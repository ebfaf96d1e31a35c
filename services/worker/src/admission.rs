//! Admission of connects: not faster than WhatsApp takes kindly, not more at once than this machine carries, and first those
//! that somebody waits for.

use prometheus::{IntGauge, IntGaugeVec};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use warren_runtime::metrics::Counted;

/// One worker's admission.
pub(crate) struct Admission {
    /// Where those stand that nobody waits for. Only the first of them stands at the door too.
    line: Mutex<()>,
    /// The next free turn. Whoever holds it is the next to be admitted.
    door: Mutex<Instant>,
    spacing: Duration,
    at_once: Arc<Semaphore>,
    /// Those who wait for their turn, and those who let all these go first.
    turns: IntGauge,
    later: IntGauge,
}

/// Whether a caller waits for a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nobody does: in the order in which they came.
    Ordinary,
    /// Somebody does: before all that are ordinary, but for one that is at the door already.
    Awaited,
}

impl Admission {
    /// `waiting` tells how many wait, by for what (`turn`, `later`).
    pub(crate) fn new(per_second: u32, at_once: usize, waiting: &IntGaugeVec) -> Self {
        Self {
            line: Mutex::default(),
            door: Mutex::new(Instant::now()),
            spacing: Duration::from_secs(1) / per_second.max(1),
            at_once: Arc::new(Semaphore::new(at_once)),
            turns: waiting.with_label_values(&["turn"]),
            later: waiting.with_label_values(&["later"]),
        }
    }

    /// Waits for a turn; of the same urgency, first come first served. The connect is under way until the permit is dropped.
    /// Dropped while it waits, it has used nothing up.
    pub(crate) async fn admit(&self, urgency: Urgency) -> Option<OwnedSemaphorePermit> {
        let _waits = Counted::new(&self.turns);
        let _line = match urgency {
            Urgency::Ordinary => Some(self.line.lock().await),
            Urgency::Awaited => None,
        };
        let mut next = self.door.lock().await;
        let permit = self.at_once.clone().acquire_owned().await.ok()?;
        let turn = turn(*next, Instant::now(), self.spacing);
        tokio::time::sleep_until(turn).await;
        *next = turn + self.spacing;
        Some(permit)
    }

    /// Waits until whoever stands in line now has been admitted, 30 s at most: for work that a connection can do later as well
    /// as now.
    pub(crate) async fn after_the_line(&self) {
        const LONGEST: Duration = Duration::from_secs(30);
        let _waits = Counted::new(&self.later);
        // A place at its end, left as soon as it is the first.
        let _ = tokio::time::timeout(LONGEST, self.line.lock()).await;
    }
}

/// The turn to take; up to 10 turns that nobody used may be caught up at once.
fn turn(next: Instant, now: Instant, spacing: Duration) -> Instant {
    next.max(now.checked_sub(spacing * 10).unwrap_or(now))
}

/// How long to wait before attempt `failures + 1`: full jitter over a span that doubles, up to the longest.
pub(crate) fn backoff(failures: u32, first: Duration, longest: Duration) -> Duration {
    let span = first.saturating_mul(1_u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(longest);
    span.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use prometheus::Opts;
    use tokio::{sync::mpsc, task::JoinHandle};

    #[test]
    fn admits_at_the_set_rate_and_catches_up_ten_turns() {
        let (start, spacing) = (Instant::now(), Duration::from_millis(100));
        let now = start + Duration::from_secs(60);
        let mut next = start;
        let mut take = || {
            let taken = turn(next, now, spacing);
            next = taken + spacing;
            taken
        };
        let turns: Vec<_> = (0..31).map(|_| take()).collect();
        assert_eq!(turns.iter().filter(|turn| **turn <= now).count(), 11, "ten unused turns and the one that is due");
        assert_eq!(turns.last().map(|turn| turn.duration_since(now)), Some(spacing * 20));
        assert!(turns.windows(2).all(|pair| matches!(pair, [earlier, later] if *later - *earlier == spacing)));
    }

    fn one_at_once() -> Arc<Admission> {
        let waiting = IntGaugeVec::new(Opts::new("waiting", "Who waits."), &["for"]).unwrap();
        Arc::new(Admission::new(1_000, 1, &waiting))
    }

    /// Spawns a caller that writes its name down once it was admitted.
    fn caller(
        admission: &Arc<Admission>,
        urgency: Urgency,
        name: &'static str,
        admitted: &mpsc::UnboundedSender<&'static str>,
    ) -> JoinHandle<()> {
        let (admission, admitted) = (admission.clone(), admitted.clone());
        tokio::spawn(async move {
            let _permit = admission.admit(urgency).await.unwrap();
            admitted.send(name).unwrap();
        })
    }

    #[tokio::test]
    async fn who_is_awaited_goes_before_all_but_the_one_at_the_door() {
        let admission = one_at_once();
        let (admitted, mut names) = mpsc::unbounded_channel();
        let under_way = admission.admit(Urgency::Ordinary).await.unwrap();
        for name in ["at the door", "second", "third"] {
            caller(&admission, Urgency::Ordinary, name, &admitted);
            tokio::task::yield_now().await;
        }
        let impatient = caller(&admission, Urgency::Awaited, "gives up", &admitted);
        caller(&admission, Urgency::Awaited, "awaited", &admitted);
        tokio::task::yield_now().await;
        assert_eq!(admission.turns.get(), 5);
        impatient.abort();
        drop(under_way);
        for expected in ["at the door", "awaited", "second", "third"] {
            assert_eq!(tokio::time::timeout(Duration::from_secs(20), names.recv()).await.unwrap(), Some(expected));
        }
        assert_eq!(admission.turns.get(), 0, "also without the one who gave up");
    }

    #[tokio::test]
    async fn what_can_wait_comes_after_those_in_line() {
        let admission = one_at_once();
        let (admitted, mut names) = mpsc::unbounded_channel();
        let under_way = admission.admit(Urgency::Ordinary).await.unwrap();
        for name in ["at the door", "second"] {
            caller(&admission, Urgency::Ordinary, name, &admitted);
            tokio::task::yield_now().await;
        }
        let (later, told) = (admission.clone(), admitted.clone());
        tokio::spawn(async move {
            later.after_the_line().await;
            told.send("what can wait").unwrap();
        });
        tokio::task::yield_now().await;
        assert!(names.try_recv().is_err(), "nobody was admitted yet");
        assert_eq!((admission.turns.get(), admission.later.get()), (2, 1));
        drop(under_way);
        for expected in ["at the door", "second", "what can wait"] {
            assert_eq!(tokio::time::timeout(Duration::from_secs(20), names.recv()).await.unwrap(), Some(expected));
        }
    }

    #[test]
    fn backs_off_to_the_longest_at_most() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(300));
        for failures in 0..64 {
            assert!(backoff(failures, first, longest) <= longest);
        }
        assert!(backoff(0, first, longest) <= first);
        let drawn = (0..100).map(|_| backoff(63, first, longest)).max().unwrap();
        assert!(drawn > longest / 2, "a hundred draws of {longest:?}: {drawn:?}");
    }
}
