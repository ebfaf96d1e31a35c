//! What workers say, and what it asks for.

use super::{
    Event, Reign, Reply,
    draft::Draft,
    presence::{Presence, Shown},
    retakes::Cause,
};
use crate::{
    command::{Command, Name},
    state::State,
};
use tokio::{sync::watch, time::Instant};
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;
use warren_raft::wire::{Attach, Code, Leave, Notice};

/// A request that waits for the next turn.
pub(super) enum Request {
    Attach(Attach, Reply<watch::Receiver<Shown>>),
    Notice(Notice, Reply<()>),
    Leave(Leave, Reply<()>),
}

/// What is answered once the entry is agreed on.
pub(super) enum Answer {
    Attached { worker: Name, incarnation: Incarnation, reply: Reply<watch::Receiver<Shown>> },
    Heard(Reply<()>),
}

impl Reign<'_> {
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Attach(attach, reply) => self.requests.push(Request::Attach(attach, reply)),
            Event::Notice(notice, reply) => self.requests.push(Request::Notice(notice, reply)),
            Event::Leave(leave, reply) => self.requests.push(Request::Leave(leave, reply)),
            Event::Brief(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(Ok(self.brief()));
            }
        }
    }

    /// Adds what was asked for to the draft. Who is refused hears it now, the others when it is agreed on.
    pub(super) fn settle(&mut self, draft: &mut Draft, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        for request in std::mem::take(&mut self.requests) {
            match request {
                Request::Attach(attach, reply) => match self.attach(draft, &attach, now) {
                    Ok((worker, incarnation)) => answers.push(Answer::Attached { worker, incarnation, reply }),
                    Err(code) => drop(reply.send(Err(code))),
                },
                Request::Notice(notice, reply) => match self.note(draft, &notice, now) {
                    Ok(()) => answers.push(Answer::Heard(reply)),
                    Err(code) => drop(reply.send(Err(code))),
                },
                Request::Leave(leave, reply) => {
                    let worker = Name::from(leave.worker);
                    if draft.add(Command::Remove { worker: worker.clone(), incarnation: leave.incarnation }) {
                        tracing::info!(worker = &*worker, "a worker left");
                        self.node.figures.deaths.with_label_values(&["left"]).inc();
                    }
                    answers.push(Answer::Heard(reply));
                }
            }
        }
        answers
    }

    /// What is known of a member; of another start of it nothing is, any more.
    pub(super) fn presence(&mut self, worker: &Name, incarnation: Incarnation) -> &mut Presence {
        let presence = self.presences.entry(worker.clone()).or_insert_with(|| Presence::new(incarnation));
        if presence.incarnation != incarnation {
            *presence = Presence::new(incarnation);
        }
        presence
    }

    fn attach(&mut self, draft: &mut Draft, attach: &Attach, now: Instant) -> Result<(Name, Incarnation), Code> {
        let (worker, incarnation) = (Name::from(attach.worker.as_str()), attach.incarnation);
        if draft.state().is_superseded(&worker, incarnation) {
            return Err(Code::Superseded);
        }
        let known = draft.state().members().get(&worker).map(|member| member.incarnation);
        if draft.add(Command::Join { worker: worker.clone(), incarnation, weight: attach.weight })
            && known != Some(incarnation)
        {
            tracing::info!(worker = &*worker, again = known.is_some(), "a worker joins");
            if known.is_some() {
                self.node.figures.deaths.with_label_values(&["replaced"]).inc();
            }
        }
        if draft.state().member(&worker, incarnation).is_none() {
            return Err(Code::Busy);
        }
        if attach.draining {
            draft.add(Command::Drain { worker: worker.clone(), incarnation });
        }
        self.presence(&worker, incarnation).comes_back(now);
        Ok((worker, incarnation))
    }

    fn note(&mut self, draft: &mut Draft, notice: &Notice, now: Instant) -> Result<(), Code> {
        let (worker, incarnation) = (Name::from(notice.worker.as_str()), Incarnation(notice.incarnation));
        if draft.state().member(&worker, incarnation).is_none() {
            return Err(Code::UnknownWorker);
        }
        let presence = self.presence(&worker, incarnation);
        presence.heard = Some(now);
        presence.reports_taken |= !notice.taken.is_empty();
        for (shard, epoch) in &notice.taken {
            self.arrivals.taken(*shard, &worker, *epoch);
        }
        let mut released = notice.released.clone();
        for (shards, cause) in [(&notice.not_taken, Cause::NotTaken), (&notice.ledger_behind, Cause::LedgerBehind)] {
            for (shard, epoch) in held(draft.state(), &worker, shards) {
                if self.moves.has_withdrawn(shard) {
                    // It does not have what it was to give up.
                    released.push((shard, epoch));
                } else {
                    self.retakes.failed(shard, (&worker, incarnation), epoch, cause, now);
                    self.arrivals.failed(shard);
                    self.arrivals.lost([shard], now);
                }
            }
        }
        for (shard, _) in held(draft.state(), &worker, &released) {
            self.retakes.released(shard);
            self.arrivals.failed(shard);
        }
        if !released.is_empty() {
            draft.add(Command::Release { worker: worker.clone(), incarnation, shards: released });
        }
        if notice.draining && draft.add(Command::Drain { worker: worker.clone(), incarnation }) {
            tracing::info!(worker = &*worker, "a worker stops; its shards go elsewhere");
        }
        Ok(())
    }
}

/// Those that the worker has under just these epochs.
fn held(state: &State, worker: &Name, shards: &[(Shard, Epoch)]) -> Vec<(Shard, Epoch)> {
    let is_held = |(shard, epoch): &&(Shard, Epoch)| {
        state.holds().get(shard).is_some_and(|hold| hold.worker == *worker && hold.epoch == *epoch)
    };
    shards.iter().filter(is_held).copied().collect()
}
