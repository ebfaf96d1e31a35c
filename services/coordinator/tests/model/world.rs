//! One state of the world, and the steps that there are.

use super::{
    authority::Authority,
    ledger::Ledger,
    properties::{self, Witness, Wrongs},
    scope::{Faults, Scope},
    site::{Process, Reach, Site},
    whatsapp::WhatsApp,
};
use stateright::{Model, Property};
use std::sync::atomic::{AtomicU32, Ordering};

/// Workers, at most.
pub(crate) const SITES: usize = 3;

/// A scope, and what was seen to happen while it was explored.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scope: Scope,
    witnessed: AtomicU32,
}

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) authority: Authority,
    pub(crate) sites: [Site; SITES],
    pub(crate) ledger: Ledger,
    pub(crate) whatsapp: WhatsApp,
    /// Faults that may still happen.
    pub(crate) left: Faults,
    /// Frames that the library may still send of its own.
    pub(crate) own_frames: u8,
    pub(crate) wrongs: Wrongs,
}

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The shard is given to a worker under a new epoch.
    Assign(u8),
    /// The shard is to leave a worker.
    Move(u8),
    /// A worker is declared dead.
    Judge(u8),
    /// The leader sees that a worker's stream ended.
    EndStream(u8),
    /// A worker joins, or comes back.
    OpenStream(u8),
    CutStream(u8),
    /// Another leader.
    Elect,
    /// The lease store forgets.
    Flush,
    /// The lease store cannot be reached by anybody.
    LoseStore,
    /// It can again.
    FindStore,
    /// A period of renewal passes.
    Tick,
    /// A report is heard.
    Deliver(u8),
    /// A report is heard and its answer lost: it is repeated.
    DeliverUnheard(u8),
    /// A report is answered by a leader that dies before it acted on it.
    LoseReport(u8),
    /// The leader hears that the shard is served.
    Confirm(u8),
    Crash(u8),
    /// A new incarnation starts.
    Restart(u8),
    Pause(u8),
    Resume(u8),
    Isolate(u8, Reach),
    Heal(u8),
    /// SIGTERM.
    Stop(u8),
    /// It drained, and goes.
    Exit(u8),
    /// The worker looks at its assignments.
    Follow(u8),
    /// The taker raises the epoch in the ledger.
    Raise(u8),
    /// The raise is given up; it may still take effect.
    FailRaise(u8),
    /// The taker reads the session state.
    Load(u8),
    /// What was given up is reported.
    Release(u8),
    /// The epoch is checked before a login.
    Clear(u8),
    /// The login: WhatsApp drops the other socket of the device.
    Login(u8),
    /// The fenced statement after it is made.
    Fence(u8),
    /// The head of the chat is decided about.
    Decide(u8),
    /// The claimed frame is written.
    Write(u8),
    /// The library writes something of its own.
    WriteOwn(u8),
    /// The server's answer is heard.
    Hear(u8),
    /// The worker notices that its socket was replaced.
    NoticeKick(u8),
    /// After a pause, the epoch is looked up.
    Revalidate(u8),
    /// The ledger cannot say.
    FailRevalidate(u8),
    /// A statement takes effect and its verdict is heard.
    Land(u8),
    /// A statement takes effect and its verdict is lost: it is repeated when its connection is closed.
    LandUnheard(u8),
    /// A statement is repeated on a new connection while it may still take effect on the old one.
    Retry(u8),
    /// The client waited long enough for its statement, is given up and rebuilt from the ledger.
    GiveUp(u8),
    /// A statement that nobody waits for takes effect, if the fence lets it.
    LandLate(u8),
    /// The server takes a frame, and answers it.
    Accept(u8),
    /// Bytes of a dead socket are taken after all.
    AcceptStraggler(u8),
    /// A socket is cut.
    Cut(u8),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut sites = [Site::ABSENT; SITES];
        sites[..usize::from(self.scope.workers)].fill(Site::JOINED);
        vec![State {
            authority: Authority::new(),
            sites,
            ledger: Ledger::new(),
            whatsapp: WhatsApp::new(),
            left: self.scope.faults,
            own_frames: self.scope.own_frames,
            wrongs: Wrongs::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.owed(state, actions);
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        next.take(self, action);
        if self.scope.symmetric {
            next.sites.sort_unstable();
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.scope)
    }
}

impl World {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, witnessed: AtomicU32::new(0) }
    }

    pub(crate) fn witness(&self, witness: Witness) {
        self.witnessed.fetch_or(witness.bit(), Ordering::Relaxed);
    }

    pub(crate) fn has_witnessed(&self, witness: Witness) -> bool {
        self.witnessed.load(Ordering::Relaxed) & witness.bit() != 0
    }
}

impl State {
    /// The workers with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u8, &Site)> {
        (0..SITES as u8).zip(&self.sites).filter(|(_, site)| site.process != Process::Absent)
    }
}
