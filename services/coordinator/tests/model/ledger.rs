//! The ledger of the model: the owner row, the session state as far as ownership can break it, the outbound rows; and what
//! `warren_ports::ledger` promises of statements on them.

use super::{
    fifo::Fifo,
    properties::{Wrong, Wrongs},
    scope::{Mutation, Scope},
};

/// Messages of the one chat, in their order. A scope may use fewer.
pub(crate) const MESSAGES: usize = 2;

/// An encrypted message: its Signal counter, and under which epoch it was encrypted. Two with one counter are two ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stanza {
    pub(crate) counter: u8,
    pub(crate) by: u8,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Status {
    Queued,
    /// Claimed under this epoch, with the stanza that goes to the wire.
    Handed(u8, Stanza),
    Sent,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Op {
    /// The owner row is raised to the statement's epoch.
    Raise,
    /// Leases Signal counters up to this one.
    Lease(u8),
    Claim {
        row: u8,
        stanza: Stanza,
        /// Whether another stored stanza may be replaced.
        replace: bool,
    },
    /// The server acknowledged the message.
    Sent(u8),
    /// Writes nothing: the fenced statement that follows a login.
    Barrier,
}

/// One statement on its way to the ledger or inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Statement {
    pub(crate) epoch: u8,
    /// Which of several memories of one epoch made it: must never be another than the first.
    pub(crate) twin: bool,
    pub(crate) op: Op,
    /// Whether the fence held when it was made: looked at by a mutation alone.
    pub(crate) admitted: bool,
    /// Whether it took effect once and its reply was lost: the lane repeats it.
    pub(crate) in_doubt: bool,
    /// Whether whoever made it gave up waiting.
    pub(crate) unheard: bool,
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    NoChange,
    OwnershipLost,
}

/// Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ledger {
    /// The owner row's epoch.
    pub(crate) epoch: u8,
    /// Up to which Signal counter they are leased.
    pub(crate) ceiling: u8,
    pub(crate) rows: [Status; MESSAGES],
    /// Statements on connections that nobody listens to any more: each takes effect at any time, or never. A bag.
    pub(crate) late: Fifo<Statement, 3>,
    /// Which memories wrote under the stored epoch.
    writers: [bool; 2],
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { epoch: 0, ceiling: 0, rows: [Status::Queued; MESSAGES], late: Fifo::new(), writers: [false; 2] }
    }

    /// One statement, atomically.
    pub(crate) fn apply(&mut self, scope: &Scope, wrongs: &mut Wrongs, statement: Statement) -> Verdict {
        if statement.op == Op::Raise {
            return self.raise(scope, wrongs, statement);
        }
        let held = match scope.mutation {
            Some(Mutation::NoFence) => true,
            Some(Mutation::FenceBeforeStatement) => statement.admitted,
            _ => statement.epoch == self.epoch,
        };
        if !held {
            return Verdict::OwnershipLost;
        }
        let verdict = match statement.op {
            Op::Lease(up_to) => self.lease(scope, up_to),
            Op::Claim { row, stanza, replace } => self.claim(statement.epoch, row, stanza, replace),
            Op::Sent(row) => self.settle(row),
            Op::Barrier | Op::Raise => Verdict::Done,
        };
        if verdict == Verdict::Done && statement.op != Op::Barrier {
            self.note_writer(wrongs, statement);
        }
        verdict
    }

    /// `WHERE epoch <= $new`, so that a lost reply can be retried.
    fn raise(&mut self, scope: &Scope, wrongs: &mut Wrongs, statement: Statement) -> Verdict {
        if statement.epoch < self.epoch && !scope.mutated(Mutation::RaiseLowers) {
            return Verdict::OwnershipLost;
        }
        if statement.epoch > self.epoch {
            self.writers = [false; 2];
        }
        self.note_writer(wrongs, statement);
        self.epoch = statement.epoch;
        Verdict::Done
    }

    fn note_writer(&mut self, wrongs: &mut Wrongs, statement: Statement) {
        if statement.epoch < self.epoch {
            return wrongs.note(Wrong::StaleWrite);
        }
        self.writers[usize::from(statement.twin)] = true;
        if self.writers == [true; 2] {
            wrongs.note(Wrong::TwoWriters);
        }
    }

    fn lease(&mut self, scope: &Scope, up_to: u8) -> Verdict {
        let grows = scope.retries_anywhere && !scope.mutated(Mutation::CeilingsOverwritten);
        self.ceiling = if grows { self.ceiling.max(up_to) } else { up_to };
        Verdict::Done
    }

    fn claim(&mut self, epoch: u8, row: u8, stanza: Stanza, replace: bool) -> Verdict {
        let row = &mut self.rows[usize::from(row)];
        let free = match *row {
            Status::Queued => true,
            Status::Handed(by, stored) => by <= epoch && (stored == stanza || replace),
            Status::Sent => false,
        };
        if !free {
            return Verdict::NoChange;
        }
        *row = Status::Handed(epoch, stanza);
        Verdict::Done
    }

    fn settle(&mut self, row: u8) -> Verdict {
        let row = &mut self.rows[usize::from(row)];
        if *row == Status::Sent {
            return Verdict::NoChange;
        }
        *row = Status::Sent;
        Verdict::Done
    }
}
