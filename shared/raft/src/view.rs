//! What a worker is shown of its assignments, and what the leader has not heard of it yet. Pure.
//!
//! A shard is shown under one epoch once, without a gap: what vanished, was released, or could not be taken is never shown under
//! that epoch again, whatever a leader says that does not know it yet. Such a leader is told again instead.

use crate::wire::{Line, Notice};
use std::collections::{BTreeMap, BTreeSet};
use warren_domain::{Epoch, Shard};
use warren_ports::placement::Report;

/// How the time of a shard under an epoch ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The leader took it away; the worker will say when it has released it.
    Withdrawn,
    NotTaken,
    LedgerBehind,
    Released,
}

/// The leader that speaks is behind one that was heard before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

/// Holds at most a few entries a shard.
#[derive(Debug, Default)]
pub(crate) struct View {
    version: i64,
    /// What the leader says.
    told: BTreeMap<Shard, Epoch>,
    /// The highest epoch of each shard that has ended here.
    ended: BTreeMap<Shard, (Epoch, End)>,
    /// Which of them the leader has not heard.
    unheard: BTreeMap<Shard, (Epoch, End)>,
    taken: BTreeSet<(Shard, Epoch)>,
    unheard_taken: BTreeSet<(Shard, Epoch)>,
    draining: bool,
    drain_unheard: bool,
}

impl View {
    /// What the worker is to own now.
    pub(crate) fn shown(&self) -> BTreeMap<Shard, Epoch> {
        let is_shown = |shard: &Shard, epoch: &Epoch| self.ended.get(shard).is_none_or(|(ended, _)| ended < epoch);
        self.told.iter().filter(|(shard, epoch)| is_shown(shard, epoch)).map(|(shard, epoch)| (*shard, *epoch)).collect()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// A leader says something.
    pub(crate) fn hear(&mut self, line: Line) -> Result<(), Stale> {
        match line {
            Line::Full { version, shards, .. } => {
                self.advance(version)?;
                let gone: Vec<_> = self.told.keys().copied().collect();
                self.replace(&gone, &shards);
                self.repeat();
            }
            Line::Change { version, assigned, withdrawn } => {
                self.advance(version)?;
                self.replace(&withdrawn, &assigned);
            }
            Line::Alive => {}
        }
        Ok(())
    }

    /// Nothing is the worker's any more.
    pub(crate) fn lose_everything(&mut self) {
        let all: Vec<_> = self.told.keys().copied().collect();
        self.replace(&all, &[]);
    }

    fn advance(&mut self, version: i64) -> Result<(), Stale> {
        if version < self.version {
            return Err(Stale);
        }
        self.version = version;
        Ok(())
    }

    fn replace(&mut self, withdrawn: &[Shard], assigned: &[(Shard, Epoch)]) {
        let next: BTreeMap<_, _> = assigned.iter().copied().collect();
        for shard in withdrawn.iter().chain(next.keys()) {
            let Some(epoch) = self.told.get(shard).copied().filter(|epoch| next.get(shard) != Some(epoch)) else { continue };
            self.told.remove(shard);
            if self.ended.get(shard).is_none_or(|(ended, _)| *ended < epoch) {
                self.ended.insert(*shard, (epoch, End::Withdrawn));
            }
        }
        self.told.extend(next);
        let told = &self.told;
        self.unheard.retain(|shard, (epoch, _)| told.get(shard).is_none_or(|now| now <= epoch));
        let is_told = |(shard, epoch): &(Shard, Epoch)| told.get(shard) == Some(epoch);
        self.taken.retain(is_told);
        self.unheard_taken.retain(is_told);
    }

    /// A leader that was not there before is told what it does not know.
    fn repeat(&mut self) {
        for (shard, epoch) in &self.told {
            match self.ended.get(shard) {
                Some((ended, end)) if ended == epoch && *end != End::Withdrawn => {
                    self.unheard.insert(*shard, (*epoch, *end));
                }
                _ => {}
            }
        }
        self.unheard_taken.clone_from(&self.taken);
        self.drain_unheard = self.draining;
    }

    /// The worker says something.
    pub(crate) fn report(&mut self, report: Report) {
        match report {
            Report::Released(shards) => self.end(&shards, End::Released),
            Report::NotTaken(shards) => self.end(&shards, End::NotTaken),
            Report::LedgerBehind(shards) => self.end(&shards, End::LedgerBehind),
            Report::Taken(shards) => {
                for taken in shards {
                    if self.told.get(&taken.0) == Some(&taken.1) && self.taken.insert(taken) {
                        self.unheard_taken.insert(taken);
                    }
                }
            }
            Report::Draining => {
                self.drain_unheard |= !self.draining;
                self.draining = true;
            }
        }
    }

    fn end(&mut self, shards: &[(Shard, Epoch)], end: End) {
        for &(shard, epoch) in shards {
            // Another epoch than the one that the leader gave is nothing that it could have given up.
            if self.told.get(&shard).is_some_and(|told| *told != epoch) {
                continue;
            }
            let says_nothing_new = self.ended.get(&shard).is_some_and(|(ended, known)| {
                // A release says more than that it was not taken, and anything says more than that it vanished.
                let is_known = match known {
                    End::Withdrawn => false,
                    End::NotTaken | End::LedgerBehind => end != End::Released,
                    End::Released => true,
                };
                *ended > epoch || (*ended == epoch && is_known)
            });
            if !says_nothing_new {
                self.ended.insert(shard, (epoch, end));
                self.unheard.insert(shard, (epoch, end));
                self.taken.remove(&(shard, epoch));
                self.unheard_taken.remove(&(shard, epoch));
            }
        }
    }

    /// What the leader has not heard, as one notice. Nothing but the worker's presence if there is nothing.
    pub(crate) fn notice(&self) -> Notice {
        let of = |wanted: End| {
            let reports = self.unheard.iter().filter(|(_, (_, end))| *end == wanted);
            reports.map(|(shard, (epoch, _))| (*shard, *epoch)).collect()
        };
        Notice {
            released: of(End::Released),
            not_taken: of(End::NotTaken),
            ledger_behind: of(End::LedgerBehind),
            taken: self.unheard_taken.iter().copied().collect(),
            draining: self.drain_unheard,
            ..Notice::default()
        }
    }

    /// Whether the leader has heard everything.
    pub(crate) fn is_heard(&self) -> bool {
        self.unheard.is_empty() && self.unheard_taken.is_empty() && !self.drain_unheard
    }

    /// The leader has heard a notice.
    pub(crate) fn heard(&mut self, notice: &Notice) {
        let reports = [
            (End::Released, &notice.released),
            (End::NotTaken, &notice.not_taken),
            (End::LedgerBehind, &notice.ledger_behind),
        ];
        for (end, shards) in reports {
            for (shard, epoch) in shards {
                if self.unheard.get(shard) == Some(&(*epoch, end)) {
                    self.unheard.remove(shard);
                }
            }
        }
        for taken in &notice.taken {
            self.unheard_taken.remove(taken);
        }
        self.drain_unheard &= !notice.draining;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(shards: &[(u16, i64)]) -> Vec<(Shard, Epoch)> {
        shards.iter().map(|(shard, epoch)| (Shard(*shard), Epoch(*epoch))).collect()
    }

    fn full(version: i64, shards: &[(u16, i64)]) -> Line {
        Line::Full { version, shards: of(shards), heartbeat_ms: 250 }
    }

    fn change(version: i64, assigned: &[(u16, i64)], withdrawn: &[u16]) -> Line {
        Line::Change { version, assigned: of(assigned), withdrawn: withdrawn.iter().map(|shard| Shard(*shard)).collect() }
    }

    fn shown(view: &View) -> Vec<(Shard, Epoch)> {
        view.shown().into_iter().collect()
    }

    #[test]
    fn shows_what_the_leader_says() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        assert_eq!(shown(&view), of(&[(0, 1), (1, 1)]));
        view.hear(change(2, &[(2, 2)], &[0])).unwrap();
        view.hear(Line::Alive).unwrap();
        assert_eq!(shown(&view), of(&[(1, 1), (2, 2)]));
        assert!(view.is_heard() && view.notice() == Notice::default());
    }

    #[test]
    fn a_leader_that_is_behind_is_not_believed() {
        let mut view = View::default();
        view.hear(full(5, &[(0, 5)])).unwrap();
        assert_eq!(view.hear(full(4, &[])), Err(Stale));
        assert_eq!(shown(&view), of(&[(0, 5)]));
        view.hear(full(5, &[(0, 5)])).unwrap();
    }

    #[test]
    fn what_was_released_is_not_shown_again_and_a_new_leader_is_told() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        view.report(Report::Released(of(&[(0, 1)])));
        assert_eq!(shown(&view), of(&[(1, 1)]));
        let notice = view.notice();
        assert_eq!(notice.released, of(&[(0, 1)]));
        view.heard(&notice);
        assert!(view.is_heard());
        // It was heard by one who died with it.
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        assert_eq!(shown(&view), of(&[(1, 1)]));
        assert_eq!(view.notice().released, of(&[(0, 1)]));
        // Its answer overtook the next assignment.
        view.hear(change(3, &[(0, 3)], &[])).unwrap();
        assert!(view.is_heard());
        assert_eq!(shown(&view), of(&[(0, 3), (1, 1)]));
    }

    #[test]
    fn what_vanished_is_not_shown_again_either() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1)])).unwrap();
        view.hear(change(1, &[], &[0])).unwrap();
        view.hear(full(1, &[(0, 1)])).unwrap();
        assert!(shown(&view).is_empty());
        assert!(view.is_heard(), "the worker has not released it yet");
        view.report(Report::Released(of(&[(0, 1)])));
        assert_eq!(view.notice().released, of(&[(0, 1)]));
    }

    #[test]
    fn late_and_repeated_reports_say_nothing() {
        let mut view = View::default();
        view.hear(full(7, &[(0, 7), (1, 7)])).unwrap();
        for report in [Report::Released, Report::NotTaken, Report::LedgerBehind, Report::Taken] {
            view.report(report(of(&[(0, 6), (1, 8)])));
        }
        assert!(view.is_heard());
        assert_eq!(shown(&view).len(), 2);
        view.report(Report::NotTaken(of(&[(0, 7)])));
        let notice = view.notice();
        view.heard(&notice);
        view.report(Report::NotTaken(of(&[(0, 7)])));
        view.report(Report::LedgerBehind(of(&[(0, 7)])));
        assert!(view.is_heard());
        // That it was given up is news.
        view.report(Report::Released(of(&[(0, 7)])));
        assert_eq!(view.notice().released, of(&[(0, 7)]));
    }

    #[test]
    fn what_was_reported_meanwhile_stays_unheard() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        view.report(Report::NotTaken(of(&[(0, 1)])));
        let notice = view.notice();
        view.report(Report::Released(of(&[(0, 1), (1, 1)])));
        view.heard(&notice);
        assert_eq!(view.notice().released, of(&[(0, 1), (1, 1)]));
        assert!(view.notice().not_taken.is_empty());
    }

    #[test]
    fn a_new_leader_hears_what_is_served_and_that_the_worker_stops() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        view.report(Report::Taken(of(&[(0, 1), (1, 1)])));
        view.report(Report::Draining);
        let notice = view.notice();
        assert!(notice.draining && notice.taken.len() == 2);
        view.heard(&notice);
        assert!(view.is_heard());
        view.hear(change(1, &[], &[1])).unwrap();
        view.hear(full(1, &[(0, 1)])).unwrap();
        assert_eq!((view.notice().taken, view.notice().draining), (of(&[(0, 1)]), true));
    }

    #[test]
    fn a_worker_that_was_declared_dead_is_left_with_nothing() {
        let mut view = View::default();
        view.hear(full(1, &[(0, 1), (1, 1)])).unwrap();
        view.report(Report::Released(of(&[(0, 1)])));
        view.hear(full(9, &[])).unwrap();
        assert!(shown(&view).is_empty());
        view.hear(change(10, &[(0, 10), (1, 10)], &[])).unwrap();
        assert_eq!(shown(&view), of(&[(0, 10), (1, 10)]));
        view.lose_everything();
        assert!(shown(&view).is_empty());
    }
}
