//! The way out: two workers, one chat, one ledger, one server, a recipient with nothing but a ratchet. What to do with a
//! row is asked of the product's own `decide()` and `refusal()`; what the ledger answers is written in [`ledger`] as
//! `warren_ports::ledger::commit` promises it.
//!
//! Simplified: the reservation of counters is one fenced step; the recipient gets what the server accepts at once, its
//! receipt comes at any time or never; a paused worker is one that takes no step. Harsher than the product: no lease and no
//! clock protects anything, a stale owner encrypts below its reservation without asking, the server never looks at ids.

mod fifo;
mod ledger;
mod network;
pub(crate) mod properties;
mod steps;
mod worker;

use ledger::{Lane, Ledger, MESSAGES};
use network::Network;
use stateright::{Model, Property};
use warren_domain::{Delivery, MessageStatus};
use worker::{Circumstances, Connection, Link, Phase, Worker};

/// Worker processes.
const WORKERS: usize = 2;

/// How large the explored world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// Messages in the chat, at most [`MESSAGES`].
    pub(crate) messages: u8,
    /// Ownerships, the first included: takeovers and restarts are one less.
    pub(crate) epochs: u8,
    /// Sockets that are cut by something else than a login.
    pub(crate) cuts: u8,
    /// Repeated copies that the server refuses as stale.
    pub(crate) refusals: u8,
    /// Whether the age bound of a stored stanza may pass.
    pub(crate) ages: bool,
    /// Whether the reply to a statement that took effect may be lost.
    pub(crate) doubt: bool,
    /// Whether the first message has a time before that of the second and is let go at any moment after it: the second may
    /// have gone.
    pub(crate) scheduled: bool,
    /// What the caller wants when in doubt.
    pub(crate) delivery: Delivery,
    /// What is broken on purpose.
    pub(crate) mutation: Option<Mutation>,
    /// Whether it is noted that the interesting things happen at all; it multiplies the states.
    pub(crate) witness: bool,
}

/// A mistake that the properties must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    ClaimAfterWire,
    ReencryptOnResend,
    NoFenceOnClaim,
    SendBeforeDrain,
    ReadBeforeRaise,
    /// The send gate lets a write through although its claim was refused.
    IgnoredRefusal,
    /// A stored stanza is repeated however old it is.
    IgnoredAge,
    /// The next message of the chat does not wait for the answer to the one before.
    NoHeadOfLine,
    /// A message that was let go takes its place by its time alone, before what was begun.
    BegunIsOvertaken,
}

/// One state of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    ledger: Ledger,
    network: Network,
    workers: [Worker; WORKERS],
    /// What waits in the lane of a worker that listens to the verdicts.
    lanes: [Lane; WORKERS],
    /// Statements of former lives, which may still take effect, or never.
    orphans: [Lane; WORKERS],
    /// Who was given the shard last.
    assigned: u8,
    /// Under which epoch.
    epoch: u8,
    cuts: u8,
    refusals: u8,
    may_age: bool,
    /// Messages that may be seen twice, or given up as unknown: too old or refused, with no receipt in the backlog.
    excused: u8,
    /// Whether a frame left whose claim had been refused: must never be.
    sent_after_refusal: bool,
    /// Whether the first message is held until its time.
    held: bool,
    /// Whether a message was begun while another one of its chat was handed and not settled: must never be.
    unsettled_overtaken: bool,
    /// Whether an owner was refused the claim of a row that is open: it would try for ever.
    claimed_in_vain: bool,
    witnessed: u8,
}

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The coordinator gives the shard to a worker under a new epoch.
    Assign(u8),
    /// The taker raises the epoch in the ledger.
    Raise(u8),
    /// The taker reads the session state.
    Read(u8),
    /// The epoch is checked before a login.
    Clear(u8),
    /// The login: WhatsApp drops the other socket of the device.
    Login(u8),
    /// The server's backlog is received.
    Drain(u8),
    /// The fenced statement that follows a login.
    Fence(u8),
    /// The time of the held message has come.
    Release,
    /// The open rows are read.
    Fetch(u8),
    /// The head of the chat is decided about.
    Decide(u8),
    /// The claimed frame is written.
    Write(u8),
    /// A claimed frame is written whose row was settled meanwhile.
    WriteStray(u8),
    /// A statement takes effect and its verdict is heard.
    Land(u8),
    /// A statement takes effect and its verdict is lost: the lane repeats it.
    LandUnheard(u8),
    /// A statement of a former life takes effect, if the fence lets it.
    LandOrphan(u8),
    /// The server accepts a frame and answers it.
    Accept(u8),
    /// The server refuses a repeated copy as stale.
    Refuse(u8),
    /// The server's answer is heard.
    Hear(u8),
    /// Bytes of a dead socket are accepted after all.
    AcceptStraggler(u8),
    /// The recipient's receipt reaches the server.
    Receipt(u8),
    /// A receipt is received outside the backlog.
    Deliver(u8, u8),
    /// The worker notices that its socket was replaced.
    NoticeKick(u8),
    /// A socket is cut.
    Cut(u8),
    /// The owner's process is killed.
    Crash,
    /// The age bound of the stored stanzas passes.
    Age,
}

impl Model for Scope {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let taking = worker::Taking { epoch: 1, raised: false, read: None };
        vec![State {
            ledger: Ledger::new(),
            network: Network::new(),
            workers: [Worker::Taking(taking), Worker::Down],
            lanes: [Lane::new(); WORKERS],
            orphans: [Lane::new(); WORKERS],
            assigned: 0,
            epoch: 1,
            cuts: self.cuts,
            refusals: self.refusals,
            may_age: self.ages,
            excused: 0,
            sent_after_refusal: false,
            held: self.scheduled,
            unsettled_overtaken: false,
            claimed_in_vain: false,
            witnessed: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.owed(state, actions);
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        next.take(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Scope {
    fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Steps that happen sooner or later, whatever else happens: as long as there is one, nothing is stuck.
    fn owed(&self, state: &State, actions: &mut Vec<Action>) {
        if state.held {
            actions.push(Action::Release);
        }
        if matches!(state.workers[usize::from(state.assigned)], Worker::Down) && state.epoch < self.epochs {
            actions.extend((0..WORKERS as u8).map(Action::Assign));
        }
        for at in 0..WORKERS as u8 {
            if !state.lanes[usize::from(at)].is_empty() {
                actions.push(Action::Land(at));
            }
            match &state.workers[usize::from(at)] {
                Worker::Down => {}
                Worker::Taking(taking) => {
                    let first = if self.mutated(Mutation::ReadBeforeRaise) { taking.read.is_none() } else { taking.raised };
                    actions.push(if first { Action::Read(at) } else { Action::Raise(at) });
                }
                Worker::Up(owner) => match &owner.link {
                    Link::Closed if state.is_settled_before_login(at) => actions.push(Action::Clear(at)),
                    Link::Closed => {}
                    Link::Cleared => actions.push(Action::Login(at)),
                    Link::Open(connection) => self.owed_by(at, owner.epoch, connection, state, actions),
                },
            }
        }
    }

    fn owed_by(&self, at: u8, epoch: u8, connection: &Connection, state: &State, actions: &mut Vec<Action>) {
        let lane = &state.lanes[usize::from(at)];
        if connection.kicked {
            actions.push(Action::NoticeKick(at));
        } else {
            if connection.out.is_some() && connection.answer.is_none() {
                actions.push(Action::Accept(at));
            }
            if !connection.drained && lane.room() >= MESSAGES {
                actions.push(Action::Drain(at));
            }
        }
        if connection.answer.is_some() && lane.room() > 0 {
            actions.push(Action::Hear(at));
        }
        if !connection.fenced {
            if lane.is_empty() {
                actions.push(Action::Fence(at));
            }
            return;
        }
        let unknown = |row: usize| state.is_shown(row) && connection.known[row].is_none();
        if (0..usize::from(self.messages)).any(unknown) {
            actions.push(Action::Fetch(at));
        }
        let ready = connection.sending.is_some_and(|sending| sending.phase == Phase::Claimed);
        if ready && connection.out.is_none() && lane.room() > 0 {
            actions.push(Action::Write(at));
        }
        if connection.stray.is_some() {
            actions.push(Action::WriteStray(at));
        }
        let now = self.circumstances(epoch, lane, state);
        if lane.room() > 0 && connection.next_step(&now).is_some() {
            actions.push(Action::Decide(at));
        }
    }

    fn circumstances<'a>(&self, epoch: u8, lane: &'a Lane, state: &State) -> Circumstances<'a> {
        let aged = if self.mutated(Mutation::IgnoredAge) { 0 } else { state.network.aged };
        Circumstances {
            epoch,
            lane,
            delivery: self.delivery,
            aged,
            hasty: self.mutated(Mutation::SendBeforeDrain),
            scheduled: self.scheduled,
            by_time_alone: self.mutated(Mutation::BegunIsOvertaken),
        }
    }

    /// Faults, and what the outside may or may not do.
    fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        let assigned_is_down = matches!(state.workers[usize::from(state.assigned)], Worker::Down);
        if state.epoch < self.epochs && !assigned_is_down {
            actions.extend((0..WORKERS as u8).map(Action::Assign));
            actions.push(Action::Crash);
        }
        for at in 0..WORKERS as u8 {
            if !state.orphans[usize::from(at)].is_empty() {
                actions.push(Action::LandOrphan(at));
            }
            if self.doubt && state.lanes[usize::from(at)].front().is_some_and(|statement| !statement.in_doubt) {
                actions.push(Action::LandUnheard(at));
            }
            let Some(connection) = state.workers[usize::from(at)].connection() else { continue };
            if connection.kicked {
                continue;
            }
            if state.cuts > 0 {
                actions.push(Action::Cut(at));
            }
            let repeated = connection.sending.is_some_and(|sending| sending.is_repeated());
            if state.refusals > 0 && repeated && connection.out.is_some() && connection.answer.is_none() {
                actions.push(Action::Refuse(at));
            }
            if connection.drained && state.lanes[usize::from(at)].room() > 0 {
                let waits = |row: &u8| state.network.receipts & network::bit(*row) != 0;
                actions.extend((0..self.messages).filter(waits).map(|row| Action::Deliver(at, row)));
            }
        }
        actions.extend((0..state.network.stragglers.len() as u8).map(Action::AcceptStraggler));
        let due = |row: &u8| state.network.times_seen(*row) > 0 && state.network.receipted & network::bit(*row) == 0;
        actions.extend((0..self.messages).filter(due).map(Action::Receipt));
        if state.may_age && state.is_quiet() && state.ledger.rows.iter().any(|row| row.status == MessageStatus::Handed) {
            actions.push(Action::Age);
        }
    }
}

impl State {
    /// Whether an owner who reads the open rows finds this one.
    fn is_shown(&self, row: usize) -> bool {
        self.ledger.rows[row].status.is_open() && !(self.held && row == 0)
    }

    /// Whether what the last connection was told is committed.
    fn is_settled_before_login(&self, at: u8) -> bool {
        self.lanes[usize::from(at)].iter().all(|statement| matches!(statement.op, ledger::Op::Claim { .. }))
    }

    /// Whether nothing is under way that lasts for seconds only.
    fn is_quiet(&self) -> bool {
        let idle = |worker: &Worker| {
            worker.connection().is_none_or(|connection| {
                connection.sending.is_none()
                    && connection.stray.is_none()
                    && connection.out.is_none()
                    && connection.answer.is_none()
            })
        };
        self.lanes.iter().all(Lane::is_empty) && self.workers.iter().all(idle)
    }
}
