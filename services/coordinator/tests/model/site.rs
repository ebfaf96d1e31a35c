//! The workers of the model: the process, and what one memory of one epoch holds, which is what a crash takes.

use super::{
    authority::Member,
    ledger::{MESSAGES, Stanza, Statement, Status},
    whatsapp::Frame,
};

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Process {
    /// The scope has no such worker.
    Absent,
    Down,
    /// It takes no step, and its sockets stay open.
    Paused,
    Running,
}

/// Whom it reaches, besides the ledger and WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reach {
    All,
    /// The coordinators, but not the lease store.
    NoStore,
    Nobody,
}

/// Whether it knows how it stands after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Attention {
    Full,
    /// It was paused: nothing leaves before the epoch was looked up.
    Suspended,
    /// As above, and it will not look: a mutation.
    Resigned,
}

/// What a worker tells the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Report {
    NotTaken(u8),
    Released(u8),
    Draining,
}

/// A worker, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) process: Process,
    pub(crate) attention: Attention,
    pub(crate) reach: Reach,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// It runs, and renewed or was heard since the last thing that kept it from it. Known to the checker alone.
    pub(crate) healthy: bool,
    pub(crate) tenure: Tenure,
    /// The statement in its committer lane: one at a time, in the order in which they were made.
    pub(crate) lane: Option<Statement>,
    /// What is to be told, until it is heard.
    pub(crate) report: Option<Report>,
    /// The highest epoch that ended here: it is never shown to the worker again, whatever a leader says.
    pub(crate) ended: u8,
    pub(crate) member: Member,
}

/// What the worker has of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tenure {
    None,
    Taking(Taking),
    Owner(Owner),
    /// Nothing acts any more; what is in the lane has to be settled before it is said.
    Ending(u8),
}

/// A takeover half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Taking {
    pub(crate) epoch: u8,
    pub(crate) twin: bool,
    pub(crate) raised: bool,
    pub(crate) loaded: Option<Session>,
}

/// The session state, as far as ownership can break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session {
    /// The last Signal counter used.
    pub(crate) counter: u8,
    /// Up to which nobody needs to be asked.
    pub(crate) ceiling: u8,
}

/// Memory of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) epoch: u8,
    pub(crate) twin: bool,
    pub(crate) session: Session,
    pub(crate) link: Link,
}

/// The way to WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Link {
    Closed,
    /// The epoch was checked; the login is on its way.
    Cleared,
    Open(Connection),
}

/// One connection, and what lives as long as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Connection {
    /// The server took another login since; the worker has not noticed.
    pub(crate) kicked: bool,
    /// A higher epoch was in the ledger before this login. Known to the checker alone.
    pub(crate) stale: bool,
    /// The fenced statement that follows the login was done.
    pub(crate) fenced: bool,
    /// The rows, as they were read after it.
    pub(crate) known: [Status; MESSAGES],
    pub(crate) sending: Option<Sending>,
    /// Written, not yet at the server.
    pub(crate) out: Option<Frame>,
    /// The message that was acknowledged, not yet heard.
    pub(crate) answer: Option<u8>,
}

/// The one message of the chat that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sending {
    pub(crate) row: u8,
    pub(crate) stanza: Stanza,
    pub(crate) phase: Phase,
    /// Its claim was refused: never goes on, but for a mutation.
    pub(crate) refused: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    Claiming,
    Claimed,
    Written,
    Settling,
}

impl Connection {
    pub(crate) fn new(stale: bool) -> Self {
        let known = [Status::Queued; MESSAGES];
        Self { kicked: false, stale, fenced: false, known, sending: None, out: None, answer: None }
    }
}

impl Owner {
    pub(crate) fn connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Open(connection) => Some(connection),
            Link::Closed | Link::Cleared => None,
        }
    }
}

impl Site {
    pub(crate) const ABSENT: Self = Self {
        process: Process::Absent,
        attention: Attention::Full,
        reach: Reach::All,
        stopping: false,
        healthy: false,
        tenure: Tenure::None,
        lane: None,
        report: None,
        ended: 0,
        member: Member::OUT,
    };
    pub(crate) const JOINED: Self =
        Self { process: Process::Running, healthy: true, member: Member::JOINED, ..Self::ABSENT };

    pub(crate) fn runs(&self) -> bool {
        self.process == Process::Running
    }

    /// Whether it reaches the coordinators.
    pub(crate) fn is_reachable(&self) -> bool {
        self.runs() && self.reach != Reach::Nobody
    }

    /// Whether it hears the leader and is heard.
    pub(crate) fn is_attached(&self) -> bool {
        self.is_reachable() && self.member.is_attached()
    }

    /// What it is shown of its assignments.
    pub(crate) fn shown(&self) -> Option<u8> {
        let assignment = self.member.assignment.filter(|assignment| !assignment.leaving);
        assignment.map(|assignment| assignment.epoch).filter(|epoch| *epoch > self.ended)
    }

    /// The epoch that it has or takes.
    pub(crate) fn epoch(&self) -> Option<u8> {
        match self.tenure {
            Tenure::None => None,
            Tenure::Taking(Taking { epoch, .. }) | Tenure::Owner(Owner { epoch, .. }) | Tenure::Ending(epoch) => Some(epoch),
        }
    }

    pub(crate) fn owner(&self) -> Option<&Owner> {
        match &self.tenure {
            Tenure::Owner(owner) => Some(owner),
            _ => None,
        }
    }

    pub(crate) fn owner_mut(&mut self) -> Option<&mut Owner> {
        match &mut self.tenure {
            Tenure::Owner(owner) => Some(owner),
            _ => None,
        }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.owner().and_then(Owner::connection)
    }

    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.owner_mut()?.link {
            Link::Open(connection) => Some(connection),
            Link::Closed | Link::Cleared => None,
        }
    }
}
