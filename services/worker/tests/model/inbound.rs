//! The way in: the server repeats what was not acknowledged, the library decrypts, buffers, flushes its ratchet, asks the
//! hook to commit the event, acknowledges. A kill or a takeover between any two; writes of a dead process that land late; a
//! ledger that crashes and forgets what nobody waited for (`pending_inbound` is written without awaiting its sync).

use stateright::{Model, Property};

const WORKERS: usize = 2;
/// At most so many messages.
const MESSAGES: usize = 2;

/// How large the explored world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) messages: u8,
    /// Ownerships, the first included.
    pub(crate) epochs: u8,
    pub(crate) cuts: u8,
    /// Crashes of the ledger.
    pub(crate) ledger_crashes: u8,
    pub(crate) mutation: Option<Mutation>,
}

/// A mistake that the properties must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    AckBeforeCommit,
    /// The ratchet is flushed before the message is buffered.
    RatchetBeforePending,
    NoFence,
    NoDeduplication,
}

/// The buffered copy of a decrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    Absent,
    /// Written, its sync not awaited.
    Written,
    Synced,
    /// Deleted, its sync not awaited.
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ledger {
    epoch: u8,
    /// Messages whose counter the stored ratchet has used, one bit each.
    ratchet: u8,
    pending: [Pending; MESSAGES],
    /// How many events a message has.
    events: [u8; MESSAGES],
    stale_landed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Op {
    StorePending(u8),
    FlushRatchet(u8),
    Commit(u8),
    DeletePending(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Worker {
    Down,
    Taking { epoch: u8, raised: bool },
    Up { epoch: u8, ratchet: u8, link: Option<Connection> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Connection {
    kicked: bool,
    /// Messages received on this connection, one bit each.
    received: u8,
    /// Messages whose turn of the ratchet is in memory only.
    dirty: u8,
    /// The one under way.
    current: Option<(u8, Stage)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Received,
    Decrypted,
    Buffered,
    /// Two things are left, in either order.
    Committed {
        acked: bool,
        deleted: bool,
    },
}

/// One state of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    ledger: Ledger,
    workers: [Worker; WORKERS],
    /// A write of a former life that may still take effect.
    orphans: [Option<(u8, Op)>; WORKERS],
    /// Messages that the server keeps.
    unacked: u8,
    /// Acks that were written, on whichever socket, and may arrive or not.
    acks: u8,
    /// Messages of which it was found, and told, that they were lost.
    reported: u8,
    assigned: u8,
    epoch: u8,
    cuts: u8,
    ledger_crashes: u8,
}

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Assign(u8),
    Raise(u8),
    Read(u8),
    /// The epoch is checked, then the login drops the other socket.
    Login(u8),
    NoticeKick(u8),
    /// The server sends the oldest message that it keeps.
    Receive(u8, u8),
    /// The message under way goes one stage on.
    Advance(u8),
    /// The committed message is acknowledged.
    Ack(u8),
    /// The committed message leaves the buffer.
    Delete(u8),
    /// The ratchet in memory is flushed.
    Flush(u8, u8),
    /// An ack arrives.
    Acked(u8),
    LandOrphan(u8),
    Cut(u8),
    Crash,
    LedgerCrash,
}

pub(crate) const ACKED_IS_COMMITTED: &str = "what the server forgot is committed";
pub(crate) const ONCE: &str = "nothing is committed twice";
pub(crate) const FENCE: &str = "no write of a former owner takes effect";
pub(crate) const NOT_STUCK: &str = "everything is committed and acknowledged in the end";

impl Model for Scope {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            ledger: Ledger {
                epoch: 0,
                ratchet: 0,
                pending: [Pending::Absent; MESSAGES],
                events: [0; MESSAGES],
                stale_landed: false,
            },
            workers: [Worker::Taking { epoch: 1, raised: false }, Worker::Down],
            orphans: [None; WORKERS],
            unacked: (1 << self.messages) - 1,
            acks: 0,
            reported: 0,
            assigned: 0,
            epoch: 1,
            cuts: self.cuts,
            ledger_crashes: self.ledger_crashes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.owed(state, actions);
        let down = matches!(state.workers[usize::from(state.assigned)], Worker::Down);
        if state.epoch < self.epochs && !down {
            actions.extend((0..WORKERS as u8).map(Action::Assign));
            actions.push(Action::Crash);
        }
        if state.ledger_crashes > 0 {
            actions.push(Action::LedgerCrash);
        }
        for at in 0..WORKERS as u8 {
            if state.orphans[usize::from(at)].is_some() {
                actions.push(Action::LandOrphan(at));
            }
            if state.cuts > 0 && state.connection(at).is_some_and(|connection| !connection.kicked) {
                actions.push(Action::Cut(at));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        next.take(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ACKED_IS_COMMITTED, acked_is_committed),
            Property::always(ONCE, |_, state: &State| state.ledger.events.iter().all(|events| *events <= 1)),
            Property::always(FENCE, |_, state: &State| !state.ledger.stale_landed),
            Property::always(NOT_STUCK, not_stuck),
        ];
        if self.ledger_crashes > 0 {
            properties.push(Property::sometimes("a loss is found and told", |_, state: &State| state.reported != 0));
        }
        properties
    }
}

/// Only the loss of an unsynced buffer may cost a message, and then it is told, never silent.
fn acked_is_committed(scope: &Scope, state: &State) -> bool {
    let told = if scope.ledger_crashes > 0 { state.reported } else { 0 };
    messages(scope).all(|it| (state.unacked | told) & bit(it) != 0 || state.ledger.events[usize::from(it)] > 0)
}

fn not_stuck(scope: &Scope, state: &State) -> bool {
    let mut owed = Vec::new();
    scope.owed(state, &mut owed);
    !owed.is_empty() || state.unacked == 0
}

fn messages(scope: &Scope) -> impl Iterator<Item = u8> + use<> {
    0..scope.messages
}

const fn bit(message: u8) -> u8 {
    1 << message
}

impl Scope {
    fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn owed(&self, state: &State, actions: &mut Vec<Action>) {
        if matches!(state.workers[usize::from(state.assigned)], Worker::Down) && state.epoch < self.epochs {
            actions.extend((0..WORKERS as u8).map(Action::Assign));
        }
        actions.extend(messages(self).filter(|it| state.acks & bit(*it) != 0).map(Action::Acked));
        for at in 0..WORKERS as u8 {
            match &state.workers[usize::from(at)] {
                Worker::Down => {}
                Worker::Taking { raised: false, .. } => actions.push(Action::Raise(at)),
                Worker::Taking { raised: true, .. } => actions.push(Action::Read(at)),
                Worker::Up { link: None, .. } => actions.push(Action::Login(at)),
                Worker::Up { link: Some(connection), .. } => self.owed_by(at, connection, state, actions),
            }
        }
    }

    fn owed_by(&self, at: u8, connection: &Connection, state: &State, actions: &mut Vec<Action>) {
        if connection.kicked {
            actions.push(Action::NoticeKick(at));
        }
        match connection.current {
            None if !connection.kicked => {
                let waits = |it: &u8| state.unacked & !connection.received & bit(*it) != 0;
                actions.extend(messages(self).find(waits).map(|it| Action::Receive(at, it)));
            }
            None => {}
            Some((_, Stage::Committed { acked, deleted })) => {
                if !acked {
                    actions.push(Action::Ack(at));
                }
                if !deleted {
                    actions.push(Action::Delete(at));
                }
            }
            Some(_) => actions.push(Action::Advance(at)),
        }
        // The library asks for the buffer first, and writes of one instance keep their order.
        let unbuffered = match connection.current {
            Some((it, Stage::Decrypted)) if !self.mutated(Mutation::RatchetBeforePending) => bit(it),
            _ => 0,
        };
        let flushable = connection.dirty & !unbuffered;
        actions.extend(messages(self).filter(|it| flushable & bit(*it) != 0).map(|it| Action::Flush(at, it)));
    }
}

impl Ledger {
    /// One fenced write. `false`: ownership is lost.
    fn apply(&mut self, scope: &Scope, epoch: u8, op: Op) -> bool {
        if epoch != self.epoch && !scope.mutated(Mutation::NoFence) {
            return false;
        }
        self.stale_landed |= epoch < self.epoch;
        match op {
            Op::StorePending(it) => self.pending[usize::from(it)] = Pending::Written,
            Op::DeletePending(it) if self.has_pending(it) => self.pending[usize::from(it)] = Pending::Deleted,
            Op::DeletePending(_) => {}
            Op::FlushRatchet(it) => {
                self.ratchet |= bit(it);
                self.sync();
            }
            Op::Commit(it) => {
                let events = &mut self.events[usize::from(it)];
                if *events == 0 || scope.mutated(Mutation::NoDeduplication) {
                    *events += 1;
                }
                self.sync();
            }
        }
        true
    }

    fn has_pending(&self, it: u8) -> bool {
        matches!(self.pending[usize::from(it)], Pending::Written | Pending::Synced)
    }

    /// What is synced takes with it everything that was written before.
    fn sync(&mut self) {
        self.settle(Pending::Synced, Pending::Absent);
    }

    fn crash(&mut self) {
        self.settle(Pending::Absent, Pending::Synced);
    }

    fn settle(&mut self, written: Pending, deleted: Pending) {
        for pending in &mut self.pending {
            *pending = match *pending {
                Pending::Written => written,
                Pending::Deleted => deleted,
                settled => settled,
            };
        }
    }
}

impl State {
    fn connection(&self, at: u8) -> Option<&Connection> {
        match &self.workers[usize::from(at)] {
            Worker::Up { link, .. } => link.as_ref(),
            _ => None,
        }
    }

    fn connection_mut(&mut self, at: u8) -> Option<&mut Connection> {
        match &mut self.workers[usize::from(at)] {
            Worker::Up { link, .. } => link.as_mut(),
            _ => None,
        }
    }

    fn take(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Assign(at) => {
                self.down(at);
                self.epoch += 1;
                self.assigned = at;
                self.workers[usize::from(at)] = Worker::Taking { epoch: self.epoch, raised: false };
            }
            Action::Raise(at) => self.raise(at),
            Action::Read(at) => {
                if let Worker::Taking { epoch, .. } = self.workers[usize::from(at)] {
                    self.workers[usize::from(at)] = Worker::Up { epoch, ratchet: self.ledger.ratchet, link: None };
                }
            }
            Action::Login(at) => self.login(at),
            Action::NoticeKick(at) | Action::Cut(at) => {
                self.cuts -= u8::from(matches!(action, Action::Cut(_)));
                self.close(at);
            }
            Action::Receive(at, it) => {
                if let Some(connection) = self.connection_mut(at) {
                    connection.received |= bit(it);
                    connection.current = Some((it, Stage::Received));
                }
            }
            Action::Advance(at) => self.advance(scope, at),
            Action::Ack(at) => self.finish(at, true),
            Action::Delete(at) => self.delete(scope, at),
            Action::Flush(at, it) => {
                if self.write(scope, at, Op::FlushRatchet(it))
                    && let Some(connection) = self.connection_mut(at)
                {
                    connection.dirty &= !bit(it);
                }
            }
            Action::Acked(it) => {
                self.acks &= !bit(it);
                self.unacked &= !bit(it);
            }
            Action::LandOrphan(at) => {
                if let Some((epoch, op)) = self.orphans[usize::from(at)].take() {
                    self.ledger.apply(scope, epoch, op);
                }
            }
            Action::Crash => self.down(self.assigned),
            Action::LedgerCrash => {
                self.ledger_crashes -= 1;
                self.ledger.crash();
            }
        }
    }

    /// The process ends; the write it was about to make may have been asked for.
    fn down(&mut self, at: u8) {
        if let (Worker::Up { epoch, .. }, Some(op)) = (self.workers[usize::from(at)], self.next_write(at)) {
            self.orphans[usize::from(at)] = Some((epoch, op));
        }
        self.workers[usize::from(at)] = Worker::Down;
    }

    fn next_write(&self, at: u8) -> Option<Op> {
        match self.connection(at)?.current? {
            (it, Stage::Decrypted) => Some(Op::StorePending(it)),
            (it, Stage::Buffered) => Some(Op::Commit(it)),
            (it, Stage::Committed { deleted: false, .. }) => Some(Op::DeletePending(it)),
            _ => None,
        }
    }

    fn raise(&mut self, at: u8) {
        let Worker::Taking { epoch, raised } = &mut self.workers[usize::from(at)] else { return };
        if self.ledger.epoch <= *epoch {
            self.ledger.epoch = *epoch;
            self.ledger.sync();
            *raised = true;
        } else {
            self.down(at);
        }
    }

    /// The client is rebuilt from the ledger, memory of the session included, or dropped if the ledger says so.
    fn close(&mut self, at: u8) {
        let (stored, flushed) = (self.ledger.epoch, self.ledger.ratchet);
        match &mut self.workers[usize::from(at)] {
            Worker::Up { epoch, ratchet, link } if *epoch == stored => {
                *ratchet = flushed;
                *link = None;
            }
            _ => self.down(at),
        }
    }

    fn login(&mut self, at: u8) {
        let stored = self.ledger.epoch;
        if !matches!(self.workers[usize::from(at)], Worker::Up { epoch, .. } if epoch == stored) {
            return self.down(at);
        }
        for other in 0..WORKERS as u8 {
            if let Some(connection) = self.connection_mut(other) {
                connection.kicked = true;
            }
        }
        if let Worker::Up { link, .. } = &mut self.workers[usize::from(at)] {
            *link = Some(Connection { kicked: false, received: 0, dirty: 0, current: None });
        }
    }

    /// `false`: ownership is lost and the worker let go.
    fn write(&mut self, scope: &Scope, at: u8, op: Op) -> bool {
        let Worker::Up { epoch, .. } = self.workers[usize::from(at)] else { return false };
        let written = self.ledger.apply(scope, epoch, op);
        if !written {
            self.workers[usize::from(at)] = Worker::Down;
        }
        written
    }

    fn advance(&mut self, scope: &Scope, at: u8) {
        let Some((it, stage)) = self.connection(at).and_then(|connection| connection.current) else { return };
        let next = match stage {
            Stage::Received => self.decrypt(at, it),
            Stage::Decrypted => {
                if !self.write(scope, at, Op::StorePending(it)) {
                    return;
                }
                if scope.mutated(Mutation::AckBeforeCommit) {
                    self.acks |= bit(it);
                }
                Stage::Buffered
            }
            Stage::Buffered => {
                if !self.write(scope, at, Op::Commit(it)) {
                    return;
                }
                Stage::Committed { acked: false, deleted: false }
            }
            Stage::Committed { .. } => return,
        };
        if let Some(connection) = self.connection_mut(at) {
            connection.current = Some((it, next));
        }
    }

    /// A used counter is a repetition: it is in the buffer, or in the log, or it was lost, which is told.
    fn decrypt(&mut self, at: u8, it: u8) -> Stage {
        let Worker::Up { ratchet, link: Some(connection), .. } = &mut self.workers[usize::from(at)] else {
            return Stage::Received;
        };
        if *ratchet & bit(it) == 0 {
            *ratchet |= bit(it);
            connection.dirty |= bit(it);
            return Stage::Decrypted;
        }
        if self.ledger.has_pending(it) {
            return Stage::Buffered;
        }
        if self.ledger.events[usize::from(it)] == 0 {
            self.reported |= bit(it);
        }
        Stage::Committed { acked: false, deleted: true }
    }

    fn delete(&mut self, scope: &Scope, at: u8) {
        let Some((it, _)) = self.connection(at).and_then(|connection| connection.current) else { return };
        if self.write(scope, at, Op::DeletePending(it)) {
            self.finish(at, false);
        }
    }

    fn finish(&mut self, at: u8, ack: bool) {
        let Some(connection) = self.connection_mut(at) else { return };
        let Some((it, Stage::Committed { acked, deleted })) = connection.current else { return };
        let (acked, deleted) = (acked || ack, deleted || !ack);
        connection.current = (!(acked && deleted)).then_some((it, Stage::Committed { acked, deleted }));
        if ack {
            self.acks |= bit(it);
        }
    }
}
