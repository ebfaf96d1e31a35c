//! The ledger of the model: what `warren_ports::ledger::commit` says of claims, receipts and failures, and nothing else.

use super::fifo::Fifo;
use warren_domain::MessageStatus;

/// Messages of the chat, in their order. A scope may use fewer.
pub(crate) const MESSAGES: usize = 2;

/// The row of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) status: MessageStatus,
    /// Under which epoch it was handed last; 0 before.
    pub(crate) handed: u8,
    /// The stored stanza, told by its Signal counter; 0 if there is none.
    pub(crate) stanza: u8,
}

/// A hot write on its way through a committer lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Statement {
    pub(crate) epoch: u8,
    pub(crate) op: Op,
    /// Whether it took effect once already and its reply was lost: the lane repeats it.
    pub(crate) in_doubt: bool,
}

/// What is written. `frees` says whether its commit frees the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Claim { row: u8, stanza: u8, replace: bool },
    Receipt { row: u8, frees: bool },
    FailUnknown { row: u8 },
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    NoChange,
    OwnershipLost,
}

/// Statements wait in the order in which they were made.
pub(crate) type Lane = Fifo<Statement, 4>;

/// The ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    /// The owner row's epoch.
    pub(crate) epoch: u8,
    /// Up to which Signal counter reservations were made.
    pub(crate) reserved: u8,
    pub(crate) rows: [Row; MESSAGES],
    /// Whether a write under an epoch lower than the owner row's took effect: must never be.
    pub(crate) stale_landed: bool,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let queued = Row { status: MessageStatus::Queued, handed: 0, stanza: 0 };
        Self { epoch: 0, reserved: 0, rows: [queued; MESSAGES], stale_landed: false }
    }

    /// A taker's first statement, `WHERE epoch <= $new`. `false`: somebody newer was here.
    pub(crate) fn raise(&mut self, epoch: u8) -> bool {
        let raised = self.epoch <= epoch;
        if raised {
            self.epoch = epoch;
        }
        raised
    }

    /// The fenced write of the session that reserves counters before they are used.
    pub(crate) fn reserve(&mut self, epoch: u8, up_to: u8) -> Verdict {
        if epoch != self.epoch {
            return Verdict::OwnershipLost;
        }
        self.reserved = up_to;
        Verdict::Done
    }

    /// One statement. `fenced` is off for the mutation that forgets the comparison in claims.
    pub(crate) fn apply(&mut self, statement: Statement, fenced: bool) -> Verdict {
        if fenced && statement.epoch != self.epoch {
            return Verdict::OwnershipLost;
        }
        let verdict = match statement.op {
            Op::Claim { row, stanza, replace } => self.claim(statement.epoch, row, stanza, replace),
            Op::Receipt { row, .. } => self.receipt(row),
            Op::FailUnknown { row } => self.fail(row),
        };
        self.stale_landed |= verdict == Verdict::Done && statement.epoch < self.epoch;
        verdict
    }

    fn claim(&mut self, epoch: u8, row: u8, stanza: u8, replace: bool) -> Verdict {
        let row = &mut self.rows[usize::from(row)];
        let holds_another = row.stanza != 0 && row.stanza != stanza && !replace;
        if !row.status.is_open() || row.handed > epoch || holds_another {
            return Verdict::NoChange;
        }
        *row = Row { status: MessageStatus::Handed, handed: epoch, stanza };
        Verdict::Done
    }

    /// An ack or a receipt: the row is sent, also if it had been given up as unknown.
    fn receipt(&mut self, row: u8) -> Verdict {
        let row = &mut self.rows[usize::from(row)];
        if !row.status.is_open() && row.status != MessageStatus::Failed {
            return Verdict::NoChange;
        }
        *row = Row { status: MessageStatus::Sent, stanza: 0, ..*row };
        Verdict::Done
    }

    fn fail(&mut self, row: u8) -> Verdict {
        let row = &mut self.rows[usize::from(row)];
        if !row.status.is_open() {
            return Verdict::NoChange;
        }
        *row = Row { status: MessageStatus::Failed, stanza: 0, ..*row };
        Verdict::Done
    }
}
