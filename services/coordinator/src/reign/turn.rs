//! One turn of the leader: what was heard is decided on together, agreed on as one entry, and shown.

use super::{Deposed, PAUSED, Reign, commit, draft::Draft, presence::Shown, requests::Answer};
use crate::{
    command::{Command, Name},
    evidence::{Death, Stream},
    scheduler::Situation,
    state::State,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;
use warren_raft::wire::Code;

/// A cluster without any owner waits so long for more workers before the first assignment, so that those that start together
/// share from the start.
const SETTLING: Duration = Duration::from_millis(500);

impl Reign<'_> {
    /// Says whether another turn should follow at once.
    pub(super) async fn turn(&mut self) -> Result<bool, Deposed> {
        let now = Instant::now();
        if now.saturating_duration_since(self.last_turn) > PAUSED {
            tracing::warn!("this coordinator was paused; it judges nobody by what it knew before");
            self.evidence.forget(now);
        }
        for (worker, presence) in &mut self.presences {
            if presence.note_end(now) && self.moves.cancel(worker) {
                self.is_shown = false;
            }
        }
        let mut draft = Draft::new(Arc::clone(&self.node.state.borrow()));
        let answers = self.settle(&mut draft, now);
        self.bury(&mut draft, now);
        self.retake(&mut draft, now);
        for overdue in self.moves.overdue(now) {
            if draft.add(overdue) {
                tracing::warn!("a worker did not release a shard in time; it is moved on");
                self.node.figures.moves_forced.inc();
            }
        }
        // Who attaches now can be given something in the next turn, which follows at once. Twice in a row nobody waits for that.
        let is_attaching = answers.iter().any(|answer| matches!(answer, Answer::Attached { .. }));
        self.has_waited = is_attaching && !self.has_waited;
        if !self.has_waited {
            self.place(&mut draft, now);
        }
        let commands = draft.into_commands();
        if !commands.is_empty() {
            commit(self.node, commands).await?;
        }

        let (state, now) = (Arc::clone(&self.node.state.borrow()), Instant::now());
        self.follow(&state, now);
        let has_attached = self.answer(answers, &state, now);
        self.begin_moves(&state, now);
        self.publish(&state);
        self.measure(&state, now);
        Ok(has_attached)
    }

    /// Removes who is dead.
    fn bury(&mut self, draft: &mut Draft, now: Instant) {
        let members: Vec<_> = draft
            .state()
            .members()
            .iter()
            .map(|(name, member)| (name.clone(), member.incarnation, member.draining))
            .collect();
        for (worker, incarnation, draining) in members {
            let presence = self.presences.get(&worker).filter(|presence| presence.incarnation == incarnation);
            let stream = presence.map_or(Stream::Never, |presence| presence.stream());
            let has_ended = matches!(stream, Stream::Ended(_));
            let reason = if draining && has_ended && draft.state().held_by(&worker).next().is_none() {
                "left"
            } else {
                let heard = presence.and_then(|presence| presence.heard);
                match self.evidence.judge(&(worker.clone(), incarnation), stream, heard) {
                    Some(Death::Stream) => "stream",
                    Some(Death::Lease) => "lease",
                    None => continue,
                }
            };
            let ended = presence.and_then(|presence| presence.ended_for(now)).map(|ended| ended.as_millis());
            match reason {
                "left" => tracing::info!(worker = &*worker, "a worker left"),
                _ => tracing::warn!(
                    worker = &*worker,
                    reason,
                    ended_ms = ended,
                    "a worker is dead; what it had goes elsewhere"
                ),
            }
            self.node.figures.deaths.with_label_values(&[reason]).inc();
            draft.add(Command::Remove { worker, incarnation });
        }
    }

    /// Gives those a fresh epoch, or another worker, that could not be taken.
    fn retake(&mut self, draft: &mut Draft, now: Instant) {
        let due = self.retakes.due(now);
        if due.is_empty() {
            return;
        }
        let mut changes: BTreeMap<(bool, Name, Incarnation), Vec<(Shard, Epoch)>> = BTreeMap::new();
        let around = self.around(draft.state(), now);
        for one in due {
            let elsewhere = one.elsewhere && around.of(draft.state()).has_other(&one.worker);
            changes.entry((elsewhere, one.worker, one.incarnation)).or_default().push((one.shard, one.epoch));
        }
        for ((elsewhere, worker, incarnation), shards) in changes {
            self.node.figures.retakes.inc_by(shards.len() as u64);
            draft.add(match elsewhere {
                true => Command::Release { worker, incarnation, shards },
                false => Command::Refresh { worker, incarnation, shards },
            });
        }
    }

    /// Assigns what nobody has, all of it at once.
    fn place(&mut self, draft: &mut Draft, now: Instant) {
        let mut free: Vec<_> = draft.state().unassigned().collect();
        if free.is_empty() {
            return;
        }
        self.arrivals.lost(free.iter().filter(|shard| !self.moves.has_withdrawn(**shard)).copied(), now);
        if draft.state().holds().is_empty() {
            let since = *self.settling_since.get_or_insert(now);
            if now.saturating_duration_since(since) < SETTLING {
                return;
            }
        }
        free.retain(|shard| !self.retakes.holds_back(*shard, now));
        let placed = self.around(draft.state(), now).of(draft.state()).place(free);
        for (worker, shards) in placed {
            if let Some(incarnation) = draft.state().members().get(&worker).map(|member| member.incarnation) {
                draft.add(Command::Assign { worker, incarnation, shards });
            }
        }
    }

    /// Takes note of what was agreed on.
    fn follow(&mut self, state: &Arc<State>, now: Instant) {
        let before = std::mem::replace(&mut self.followed, Arc::clone(state));
        if before.version() != state.version() {
            for (shard, hold) in state.holds() {
                if before.holds().get(shard) != Some(hold) {
                    self.arrivals.assigned(*shard, &hold.worker, hold.epoch, now);
                }
            }
            self.arrivals.retain(|shard, worker, epoch| {
                state.holds().get(&shard).is_some_and(|hold| hold.worker == *worker && hold.epoch == epoch)
            });
            self.presences.retain(|worker, presence| state.member(worker, presence.incarnation).is_some());
            self.retakes.retain(|worker| state.members().contains_key(worker));
            let moved = self.moves.follow(state, now);
            self.node.figures.moves.inc_by(moved as u64);
            if !state.holds().is_empty() {
                self.settling_since = None;
            }
            self.is_shown = false;
        }
        let presences = &self.presences;
        let says_it = |worker: &Name| presences.get(worker).is_some_and(|presence| presence.reports_taken);
        if let Some((took, shards)) = self.arrivals.settle(now, says_it) {
            tracing::info!(shards, took_ms = took.as_millis(), "every shard is served");
            self.node.figures.recovery_seconds.observe(took.as_secs_f64());
        }
        self.retakes.tidy(now);
    }

    /// Tells those that asked. Says whether somebody attached.
    fn answer(&mut self, answers: Vec<Answer>, state: &State, now: Instant) -> bool {
        let mut has_attached = false;
        for answer in answers {
            // Whoever asked may have gone.
            match answer {
                Answer::Heard(reply) => drop(reply.send(Ok(()))),
                Answer::Attached { worker, incarnation, reply } => {
                    let outcome = if state.member(&worker, incarnation).is_some() {
                        let shown = self.shown_to(state, &worker);
                        has_attached = true;
                        Ok(self.presence(&worker, incarnation).open(now, shown))
                    } else {
                        // Another start of it came in the same turn.
                        Err(Code::Superseded)
                    };
                    drop(reply.send(outcome));
                }
            }
        }
        has_attached
    }

    fn begin_moves(&mut self, state: &State, now: Instant) {
        let unassigned = state.unassigned().filter(|shard| !self.retakes.holds_back(*shard, now)).count();
        let is_calm = unassigned == 0 && self.arrivals.is_empty();
        let before = self.moves.len();
        let around = self.around(state, now);
        self.moves.begin(&around.of(state), is_calm, now);
        self.is_shown &= self.moves.len() == before;
    }

    /// Shows everybody what is theirs, if it may have changed.
    fn publish(&mut self, state: &State) {
        if std::mem::replace(&mut self.is_shown, true) {
            return;
        }
        let mut views: BTreeMap<&Name, BTreeMap<Shard, Epoch>> = BTreeMap::new();
        for (shard, hold) in state.holds() {
            if !self.moves.has_withdrawn(*shard) {
                views.entry(&hold.worker).or_default().insert(*shard, hold.epoch);
            }
        }
        for (worker, presence) in &self.presences {
            let shards = Arc::new(views.remove(worker).unwrap_or_default());
            presence.show(Shown { version: state.version(), shards });
        }
    }

    fn shown_to(&self, state: &State, worker: &str) -> Shown {
        let shards = state.held_by(worker).filter(|(shard, _)| !self.moves.has_withdrawn(*shard)).collect();
        Shown { version: state.version(), shards: Arc::new(shards) }
    }

    fn measure(&self, state: &State, now: Instant) {
        let figures = &self.node.figures;
        let set = |gauge: &prometheus::IntGauge, count: usize| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&figures.members, state.members().len());
        set(&figures.attached, self.presences.values().filter(|presence| presence.is_reachable(now)).count());
        set(&figures.unassigned, state.unassigned().count());
        set(&figures.moves_under_way, self.moves.len());
    }

    /// What the scheduler needs to know.
    pub(super) fn around(&self, state: &State, now: Instant) -> Around {
        let is_reachable = |name: &Name, incarnation: Incarnation| {
            let presence = self.presences.get(name).filter(|presence| presence.incarnation == incarnation);
            presence.is_some_and(|presence| presence.is_reachable(now))
        };
        let members = state.members().iter();
        let reachable = members.filter(|(name, member)| is_reachable(name, member.incarnation));
        Around {
            reachable: reachable.map(|(name, _)| name.clone()).collect(),
            promised: self.moves.promised(),
            unfit: self.retakes.unfit(),
            troubled: self.retakes.troubled(),
        }
    }
}

/// What the leader knows beyond the state, at one moment.
pub(super) struct Around {
    reachable: BTreeSet<Name>,
    promised: BTreeMap<Shard, Option<Name>>,
    unfit: BTreeMap<Shard, Name>,
    troubled: BTreeSet<Name>,
}

impl Around {
    pub(super) fn of<'a>(&'a self, state: &'a State) -> Situation<'a> {
        Situation {
            state,
            reachable: &self.reachable,
            promised: &self.promised,
            unfit: &self.unfit,
            troubled: &self.troubled,
        }
    }
}
