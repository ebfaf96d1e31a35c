//! The workers of the model: what one remembers, which is what a crash takes.

use super::{
    ledger::{Lane, MESSAGES, Op, Row, Statement},
    network::{Answer, Frame},
};
use std::time::Duration;
use warren_domain::{Delivery, Epoch, MessageStatus, Timestamp};
use warren_worker::outbound::{
    decide::{LinkState, RESEND_MAX_AGE, RowState, Step, decide},
    turn::Turn,
};

/// A worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Worker {
    /// Dead, or told that it owns nothing.
    Down,
    /// The shard was given to it.
    Taking(Taking),
    /// It owns the shard, as far as it knows.
    Up(Owner),
}

/// A takeover half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taking {
    pub(crate) epoch: u8,
    pub(crate) raised: bool,
    /// The session state as read.
    pub(crate) read: Option<u8>,
}

/// Memory of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) epoch: u8,
    /// The last Signal counter used.
    pub(crate) counter: u8,
    /// Up to which counter nobody needs to be asked.
    pub(crate) reserved: u8,
    pub(crate) link: Link,
}

/// The way to WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    Closed,
    /// The epoch was checked; the login is on its way.
    Cleared,
    Open(Connection),
}

/// One connection, and the queue that lives as long as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    /// The server took another login since; the worker has not noticed.
    pub(crate) kicked: bool,
    /// The second fence of the login was passed.
    pub(crate) fenced: bool,
    /// The server's backlog was received.
    pub(crate) drained: bool,
    /// Whose receipts waited at the server at the login and are not received yet. Known to the checker alone.
    pub(crate) backlog: u8,
    /// The open rows, as they were when they were read.
    pub(crate) known: [Option<Row>; MESSAGES],
    /// Messages whose stored stanza the server refused on this connection.
    pub(crate) dead: u8,
    pub(crate) sending: Option<Sending>,
    /// A claimed frame whose row a receipt settled before it was written.
    pub(crate) stray: Option<Frame>,
    /// Written, not yet at the server.
    pub(crate) out: Option<Frame>,
    /// Answered, not yet heard.
    pub(crate) answer: Option<(u8, Answer)>,
}

/// The one message of the chat that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sending {
    pub(crate) frame: Frame,
    pub(crate) step: Step,
    pub(crate) phase: Phase,
    /// Its claim was refused.
    pub(crate) refused: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Claiming,
    Claimed,
    Written,
    Settling,
}

impl Sending {
    /// Whether it is more than the first copy.
    pub(crate) fn is_repeated(&self) -> bool {
        !matches!(self.step, Step::Encrypt)
    }
}

impl Owner {
    pub(crate) fn new(epoch: u8, counter: u8) -> Self {
        Self { epoch, counter, reserved: counter, link: Link::Closed }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Open(connection) => Some(connection),
            Link::Closed | Link::Cleared => None,
        }
    }

    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.link {
            Link::Open(connection) => Some(connection),
            Link::Closed | Link::Cleared => None,
        }
    }
}

impl Worker {
    pub(crate) fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Up(owner) => Some(owner),
            Self::Down | Self::Taking(_) => None,
        }
    }

    pub(crate) fn owner_mut(&mut self) -> Option<&mut Owner> {
        match self {
            Self::Up(owner) => Some(owner),
            Self::Down | Self::Taking(_) => None,
        }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.owner().and_then(Owner::connection)
    }

    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.owner_mut().and_then(Owner::connection_mut)
    }
}

/// What a decision is made from besides the connection itself.
pub(crate) struct Circumstances<'a> {
    pub(crate) epoch: u8,
    pub(crate) lane: &'a Lane,
    pub(crate) delivery: Delivery,
    pub(crate) aged: u8,
    /// The mutation that does not wait for the backlog.
    pub(crate) hasty: bool,
    /// Whether the first message has a time, before the second was accepted.
    pub(crate) scheduled: bool,
    /// The mutation that forgets what was begun.
    pub(crate) by_time_alone: bool,
}

impl Connection {
    pub(crate) fn new(backlog: u8) -> Self {
        Self {
            kicked: false,
            fenced: false,
            drained: false,
            backlog,
            known: [None; MESSAGES],
            dead: 0,
            sending: None,
            stray: None,
            out: None,
            answer: None,
        }
    }

    /// The first in turn, as the product says.
    fn head(&self, now: &Circumstances<'_>) -> Option<(u8, Row)> {
        let turn = |row: u8, known: &Row| Turn {
            begun: known.status == MessageStatus::Handed && !now.by_time_alone,
            send_at: (now.scheduled && row == 0).then_some(Timestamp::from_millis(1)),
            accepted_at: Timestamp::from_millis(2 * i64::from(row)),
            order: row.into(),
        };
        let rows = self.known.iter().enumerate().filter_map(|(at, known)| Some((at as u8, (*known)?)));
        rows.reduce(|head, other| if turn(other.0, &other.1).precedes(&turn(head.0, &head.1)) { other } else { head })
    }

    /// What the product decides about the head of the chat; `None` if there is nothing to decide now.
    pub(crate) fn next_step(&self, now: &Circumstances<'_>) -> Option<(u8, Row, Step)> {
        if !self.fenced || self.sending.is_some() {
            return None;
        }
        let (row, known) = self.head(now)?;
        let applied = !now.lane.iter().any(|Statement { op, .. }| matches!(op, Op::Receipt { .. }));
        let handed = known.status == MessageStatus::Handed;
        let state = RowState {
            status: known.status,
            has_stanza: known.stanza != 0,
            handed_epoch: (known.handed != 0).then(|| Epoch(known.handed.into())),
            delivery: now.delivery,
            expired: false,
            age: if handed && now.aged & super::network::bit(row) != 0 {
                RESEND_MAX_AGE + Duration::from_secs(1)
            } else {
                Duration::ZERO
            },
        };
        let link = LinkState {
            epoch: Epoch(now.epoch.into()),
            drained: now.hasty || (self.drained && applied),
            awaiting_ack: false,
            stanza_dead: self.dead & super::network::bit(row) != 0,
        };
        match decide(state, link) {
            Step::Wait | Step::Settled => None,
            step => Some((row, known, step)),
        }
    }
}
