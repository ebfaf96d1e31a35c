//! Who is dead, by what the leader knows. Pure: moments are given, on the monotonic clock.
//!
//! Two things make a worker dead. Either its stream ended, to this leader, and nothing has proved its life for more than a period
//! of renewal since: that is what a crash looks like. Or its lease has run out and nothing was heard of it for as long: that is
//! what a stopped process or a cut-off machine looks like. A worker that renews, or that is heard, lives, stream or not.
//!
//! The lease store is a witness only while it answers and remembers: what it forgot, or could not be told, is no evidence before
//! every worker had the time to renew again.

use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use warren_ports::lease::{Incarnation, Standing};

use crate::command::Name;

/// A start of a worker.
pub(crate) type Start = (Name, Incarnation);

/// The times that verdicts are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// How long a lease lasts.
    pub(crate) ttl: Duration,
    /// How often it is renewed.
    pub(crate) period: Duration,
    /// How late a renewal may be.
    pub(crate) slack: Duration,
}

/// The stream of a worker, to this leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// This leader has not had one.
    Never,
    Open,
    /// The worker's end of it closed.
    Ended(Instant),
}

/// What makes a worker dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its stream ended and it does not renew.
    Stream,
    /// Its lease ran out.
    Lease,
}

/// What the leader knows of leases.
#[derive(Debug)]
pub(crate) struct Evidence {
    timing: Timing,
    leading_since: Instant,
    /// What names the memory of the lease store.
    memory: Option<u64>,
    /// Since when it answers without a break and out of one memory.
    trusted_since: Option<Instant>,
    /// When the store was last asked with success: what is known is from then.
    known_at: Option<Instant>,
    /// When each that was asked about was renewed last, at the latest; `None`: it has no lease.
    renewed: BTreeMap<Start, Option<Instant>>,
}

impl Evidence {
    pub(crate) fn new(timing: Timing, leading_since: Instant) -> Self {
        Self { timing, leading_since, memory: None, trusted_since: None, known_at: None, renewed: BTreeMap::new() }
    }

    /// The leader itself was not running for a while: it knows as little as a new one.
    pub(crate) fn forget(&mut self, now: Instant) {
        *self = Self::new(self.timing, now);
    }

    /// The lease store said how these stand; it was asked and answered at these moments.
    pub(crate) fn hear(&mut self, starts: &[Start], standing: &Standing, asked: Instant, answered: Instant) {
        if self.memory != Some(standing.memory) || self.trusted_since.is_none() {
            self.memory = Some(standing.memory);
            self.trusted_since = Some(answered);
        }
        self.known_at = Some(asked);
        let renewed = |remaining: Duration| {
            let ago = self.timing.ttl.saturating_sub(remaining);
            answered.checked_sub(ago).unwrap_or(answered)
        };
        let known = starts.iter().zip(&standing.remaining).map(|(start, left)| (start.clone(), left.map(renewed)));
        self.renewed = known.collect();
    }

    /// The lease store does not answer.
    pub(crate) fn lose_touch(&mut self) {
        self.trusted_since = None;
        self.known_at = None;
    }

    /// When a start last proved that it lives, by its lease.
    pub(crate) fn renewed(&self, start: &Start) -> Option<Instant> {
        self.renewed.get(start).copied().flatten()
    }

    /// Whether a start is dead. `heard` is when it last said something itself.
    pub(crate) fn judge(&self, start: &Start, stream: Stream, heard: Option<Instant>) -> Option<Death> {
        let known_at = self.known_at?;
        let Timing { ttl, period, slack } = self.timing;
        let since = |moment: Instant| known_at.saturating_duration_since(moment);
        let remembers = self.trusted_since.is_some_and(|trusted| since(trusted) >= ttl);
        // Who was not asked about has only just come.
        let renewed = *self.renewed.get(start)?;
        let is_silent_for = |span: Duration| heard.is_none_or(|heard| since(heard) >= span);
        match (stream, renewed) {
            (Stream::Ended(end), Some(renewed)) => {
                // While the store was away nobody could renew: that somebody stopped is seen only of who has renewed since.
                let could_renew = remembers || self.trusted_since.is_some_and(|trusted| renewed >= trusted);
                let is_overdue = since(renewed) >= period + slack && is_silent_for(period + slack);
                (could_renew && since(end) >= period && is_overdue).then_some(Death::Stream)
            }
            (Stream::Ended(end), None) => {
                (remembers && since(end) >= period && is_silent_for(period + slack)).then_some(Death::Stream)
            }
            (Stream::Open | Stream::Never, Some(_)) => None,
            (Stream::Open | Stream::Never, None) => {
                let had_time = since(self.leading_since) >= ttl;
                (remembers && had_time && is_silent_for(ttl)).then_some(Death::Lease)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { ttl: Duration::from_secs(3), period: Duration::from_millis(500), slack: Duration::from_millis(125) };

    /// A leader since moment 0, and one worker; moments are milliseconds.
    struct Scene {
        zero: Instant,
        evidence: Evidence,
        start: Start,
    }

    impl Scene {
        fn new() -> Self {
            let zero = Instant::now() + Duration::from_secs(60);
            Self { zero, evidence: Evidence::new(TIMING, zero), start: ("a".into(), Incarnation(1)) }
        }

        fn at(&self, millis: u64) -> Instant {
            self.zero + Duration::from_millis(millis)
        }

        /// The store says that the lease was renewed at `renewed`, or is not there.
        fn looked(&mut self, at: u64, renewed: Option<u64>, memory: u64) {
            let remaining = renewed.map(|renewed| TIMING.ttl - Duration::from_millis(at - renewed));
            let standing = Standing { remaining: vec![remaining], memory };
            let (starts, now) = ([self.start.clone()], self.at(at));
            self.evidence.hear(&starts, &standing, now, now);
        }

        fn judge(&self, stream: Stream, heard: Option<u64>) -> Option<Death> {
            self.evidence.judge(&self.start, stream, heard.map(|heard| self.at(heard)))
        }

        fn ended(&self, at: u64) -> Stream {
            Stream::Ended(self.at(at))
        }
    }

    #[test]
    fn a_crash_is_known_when_the_next_renewal_is_overdue() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 0);
        let ended = scene.ended(1_000);
        for (now, renewed, dead) in [
            (1_100, 900, false),
            (1_499, 600, false),
            (1_500, 600, true),
            (1_600, 990, false),
            (1_620, 990, true),
            // It renewed after its stream had ended: it is cut off, and lives.
            (1_700, 1_200, false),
            (5_000, 4_700, false),
            // And then it died.
            (5_400, 4_700, true),
        ] {
            scene.looked(now, Some(renewed), 0);
            assert_eq!(scene.judge(ended, None), dead.then_some(Death::Stream), "at {now}");
        }
    }

    #[test]
    fn who_is_heard_lives() {
        let mut scene = Scene::new();
        scene.looked(0, None, 0);
        scene.looked(9_000, None, 0);
        assert_eq!(scene.judge(Stream::Open, Some(8_900)), None, "it is cut off from the lease store");
        assert_eq!(scene.judge(Stream::Open, Some(6_001)), None);
        assert_eq!(scene.judge(Stream::Open, Some(6_000)), Some(Death::Lease));
        assert_eq!(scene.judge(scene.ended(8_000), Some(8_900)), None);
        assert_eq!(scene.judge(scene.ended(8_000), Some(8_300)), Some(Death::Stream));
    }

    #[test]
    fn who_was_not_asked_about_is_not_judged() {
        let mut scene = Scene::new();
        scene.looked(0, None, 0);
        scene.looked(9_000, None, 0);
        let other = ("b".into(), Incarnation(1));
        assert_eq!(scene.evidence.judge(&other, Stream::Never, None), None);
    }

    #[test]
    fn a_stopped_process_is_dead_when_its_lease_has_run_out() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 0);
        scene.looked(2_900, Some(0), 0);
        assert_eq!(scene.judge(Stream::Open, Some(0)), None);
        scene.looked(3_010, None, 0);
        assert_eq!(scene.judge(Stream::Open, Some(0)), Some(Death::Lease));
    }

    #[test]
    fn a_new_leader_waits_for_one_lease() {
        let mut scene = Scene::new();
        scene.looked(10, None, 0);
        scene.looked(2_990, None, 0);
        assert_eq!(scene.judge(Stream::Never, None), None);
        scene.looked(3_010, None, 0);
        assert_eq!(scene.judge(Stream::Never, None), Some(Death::Lease));
        scene.looked(3_020, Some(100), 0);
        assert_eq!(scene.judge(Stream::Never, None), None, "its stream may have ended for another one");
    }

    #[test]
    fn what_was_forgotten_is_no_evidence() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 7);
        scene.looked(10_000, Some(9_900), 7);
        // Flushed.
        scene.looked(10_050, None, 8);
        assert_eq!(scene.judge(Stream::Open, None), None);
        assert_eq!(scene.judge(scene.ended(9_000), None), None);
        scene.looked(13_000, None, 8);
        assert_eq!(scene.judge(Stream::Open, None), None);
        scene.looked(13_060, None, 8);
        assert_eq!(scene.judge(Stream::Open, None), Some(Death::Lease), "it had the time to renew");
        assert_eq!(scene.judge(scene.ended(9_000), None), Some(Death::Stream));
    }

    #[test]
    fn nobody_dies_of_a_lease_store_that_is_away() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 7);
        scene.looked(5_000, Some(4_900), 7);
        scene.evidence.lose_touch();
        for stream in [Stream::Open, Stream::Never, scene.ended(5_100)] {
            assert_eq!(scene.judge(stream, None), None);
        }
        // It is back with what it had, and nobody could renew meanwhile.
        scene.looked(60_000, None, 7);
        for stream in [Stream::Open, Stream::Never, scene.ended(5_100)] {
            assert_eq!(scene.judge(stream, None), None);
        }
        scene.looked(63_000, None, 7);
        assert_eq!(scene.judge(Stream::Open, None), Some(Death::Lease));
    }

    #[test]
    fn what_nobody_could_renew_is_not_overdue() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 7);
        scene.looked(5_000, Some(4_900), 7);
        scene.evidence.lose_touch();
        // It is back before the lease ran out, and the worker is cut off from this leader.
        let ended = scene.ended(5_100);
        scene.looked(7_000, Some(4_900), 7);
        assert_eq!(scene.judge(ended, None), None);
        scene.looked(7_600, Some(7_450), 7);
        assert_eq!(scene.judge(ended, None), None, "it lives");
        scene.looked(8_100, Some(7_450), 7);
        assert_eq!(scene.judge(ended, None), Some(Death::Stream), "it lived");
        // Who does not come back is dead when everybody had the time to.
        scene.evidence.lose_touch();
        scene.looked(8_500, Some(7_450), 7);
        assert_eq!(scene.judge(ended, None), None);
        scene.looked(11_500, None, 7);
        assert_eq!(scene.judge(ended, None), Some(Death::Stream));
    }

    #[test]
    fn a_leader_that_was_paused_knows_nothing() {
        let mut scene = Scene::new();
        scene.looked(0, Some(0), 7);
        let woken = scene.at(60_000);
        scene.evidence.forget(woken);
        scene.looked(60_010, None, 7);
        assert_eq!(scene.judge(Stream::Open, None), None);
        scene.looked(63_020, None, 7);
        assert_eq!(scene.judge(Stream::Open, None), Some(Death::Lease));
    }
}
