//! Hot writes: each carries its fence, and the store compares the epoch inside the statement.

use super::{Record, RecordKind};
use async_trait::async_trait;
use warren_domain::{
    Error, FailureReason, Fence, Health, InstanceId, InstanceState, MediaId, Message, MessageId, MessageStatus, Restriction,
    TenantId, Timestamp,
    event::NewEvent,
    group::Member,
    instance::Account,
    media::{Media, MediaOutcome},
    number::NumberCheck,
};

/// One write by an owner. Atomic: all of it or nothing.
#[derive(Debug, Clone)]
pub struct Write {
    /// Under which ownership.
    pub fence: Fence,
    /// Whose instance it is.
    pub tenant: TenantId,
    /// Which instance is written.
    pub instance: InstanceId,
    /// What is written.
    pub op: Op,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// The message. Its identity is (instance, chat, author's address, WhatsApp id).
    pub message: Message,
    /// Its event.
    pub event: NewEvent,
    /// The pending file that it carries; committed with it, or not at all.
    pub media: Option<Media>,
}

/// Which outbound messages a receipt speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptTarget {
    /// Their ids at WhatsApp, at most 1,000.
    pub whatsapp_ids: Vec<String>,
    /// What they reached: `Sent` (the server's ack), `Delivered`, `Read` or `Played`.
    pub status: MessageStatus,
    /// When.
    pub at: Timestamp,
}

/// What is written.
#[derive(Debug, Clone)]
pub enum Op {
    /// Stores session records, replacing those with the same kind and key.
    Put(Vec<Record>),
    /// Sets `mark` of records that exist.
    Mark {
        /// Their kind.
        kind: RecordKind,
        /// Their keys.
        keys: Vec<Vec<u8>>,
        /// The new mark.
        mark: i64,
    },
    /// Deletes session records.
    Delete {
        /// Their kind.
        kind: RecordKind,
        /// Their keys.
        keys: Vec<Vec<u8>>,
    },
    /// Deletes the records of a kind whose key starts with a prefix (empty: all of the kind).
    DeletePrefix {
        /// Their kind.
        kind: RecordKind,
        /// How their keys start.
        prefix: Vec<u8>,
    },
    /// Deletes the records of a kind with `0 < mark < before`.
    DeleteMarkedBefore {
        /// Their kind.
        kind: RecordKind,
        /// The limit.
        before: i64,
    },
    /// Deletes all session state, keys included: the device is no longer linked. Fails its open messages with
    /// `logged_out`, one event each, if `fail_open` is set.
    ForgetSession {
        /// Whether open messages end too.
        fail_open: Option<Timestamp>,
    },
    /// Sets the state, with its event. `NoChange` if state and reason are already so.
    SetState {
        /// The new state.
        state: InstanceState,
        /// Why.
        reason: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Sets who the account is, with the event given (`pairing.succeeded`), or without (a changed push name).
    SetAccount {
        /// Who it is.
        account: Account,
        /// The event, if it is one.
        event: Option<NewEvent>,
    },
    /// Sets the health, with its event. `NoChange` if status and reason are already so.
    SetHealth {
        /// The new health.
        health: Health,
        /// When.
        at: Timestamp,
    },
    /// Claims an outbound message before the wire: `queued`, or `handed` under this or a lower epoch, becomes `handed`
    /// under this one, `attempt` grows, and the stanza is kept if there is none yet. `NoChange` if it is in any other
    /// status, or holds another stanza and `replace_stanza` is not set: it must not be sent.
    Claim {
        /// Which message.
        message: MessageId,
        /// Its encrypted form, exactly as it goes to the wire.
        stanza: Vec<u8>,
        /// Whether another stored stanza may be replaced (encrypted anew by policy).
        replace_stanza: bool,
        /// When.
        at: Timestamp,
    },
    /// Ends an open outbound message, with its event; drops its stanza. `NoChange` if it is not open.
    Fail {
        /// Which message.
        message: MessageId,
        /// Why.
        reason: FailureReason,
        /// When.
        at: Timestamp,
    },
    /// Ends an outbound message that is `queued` with the reason `cancelled`, with its event. `NoChange` if it is not queued:
    /// what was handed may be on the wire.
    Cancel {
        /// Which message.
        message: MessageId,
        /// When.
        at: Timestamp,
    },
    /// Sets what the account may not send for a time, or lifts it, with its event. `NoChange` if it is already so.
    SetRestriction {
        /// What it may not; `None`: everything is allowed again.
        restriction: Option<Restriction>,
        /// When.
        at: Timestamp,
    },
    /// Raises outbound messages to a status, one event for each step that each rose: receipts overtake each other and the
    /// server's ack, and a message that was read was sent and delivered (`Played` passes `Read` too); drops the stanza from `Sent` on. `NoChange` if
    /// none rose (unknown ids, or already there). A failed message stays failed, except that one failed with
    /// `outcome_unknown` is raised too: the truth came late.
    Receipt(ReceiptTarget),
    /// Says who a message to a group goes to: who is in the group now, the account itself left out. Replaces what was said
    /// before, except that whoever has a receipt stays. Committed before the [`Op::Claim`] of the same stanza.
    /// `NoChange` if the message is not open, or goes to no group. At most 2,048 members.
    Audience {
        /// Which message.
        message: MessageId,
        /// Who it goes to.
        members: Vec<Member>,
    },
    /// A receipt of one person for messages to a group: noted with that person, if it is one of the message's audience,
    /// and the message is raised as [`Op::Receipt`] does, as far as the weakest of its audience is, but to `Sent` at
    /// least. `NoChange` if nothing new was told. A message whose audience was never said is raised to `Sent` only.
    MemberReceipt {
        /// Of what, and what was reached.
        target: ReceiptTarget,
        /// By whom.
        member: Member,
    },
    /// Commits an inbound message and its event. `NoChange` if one with its identity is committed.
    Receive(Box<Inbound>),
    /// Keeps what WhatsApp said of numbers, for the tenant; what was kept of them before is replaced.
    KeepNumbers {
        /// At most 1,000.
        checks: Vec<NumberCheck>,
        /// When it said so.
        at: Timestamp,
    },
    /// Keeps what WhatsApp's media host answered for the file of an outbound message, for as long as the message is kept;
    /// comes back as [`warren_domain::message::Outbound::upload`]. `NoChange` if the message is not open.
    SetUpload {
        /// Which message.
        message: MessageId,
        /// What it answered, as only the owner reads it; sealed, because it holds the file's key.
        upload: Vec<u8>,
    },
    /// Says what became of the bytes of a pending file of the instance, with its event; drops its link and source.
    /// `NoChange` if it is not pending any more, or not there: whoever stored bytes for it removes them.
    SettleMedia {
        /// Which file.
        media: MediaId,
        /// What became of it.
        outcome: MediaOutcome,
        /// The event, if it is one.
        event: Option<NewEvent>,
    },
    /// Appends an event.
    Append(NewEvent),
    /// Writes nothing; its outcome says that everything before it in the lane is settled and the fence holds.
    Barrier,
}

/// What became of a write.
#[derive(Debug)]
pub enum Outcome {
    /// Committed durably.
    Done,
    /// Committed, but there was nothing to change: a duplicate, an empty delete. No loss of ownership.
    NoChange,
    /// The stored epoch is higher than the fence's: nothing was written, nothing will be.
    OwnershipLost,
    /// The stored epoch is lower than the fence's, or absent: the ledger went back in time. Nothing was written.
    LedgerBehind,
    /// The data itself was refused; the other writes of the batch were not touched by it.
    Refused(Error),
}

/// The committer lanes.
#[async_trait]
pub trait Committer: Send + Sync {
    /// Commits writes, a verdict each, in the order given.
    ///
    /// - Order: writes of one shard take effect in the order in which their `commit` calls were made; a call enters the
    ///   lane before its future is first awaited to completion, in order of first poll.
    /// - The fence is compared inside the statement that writes.
    /// - A passing condition (locked, restarting, network) is waited out, without limit: the caller sets its own. A call
    ///   whose future is dropped may still take effect later; a [`Op::Barrier`] awaited afterwards tells when not any more.
    /// - Every event gets the instance's next `seq` inside the statement.
    /// - `PendingInbound` records are written in order but the sync to disk is not awaited, if a write consists of nothing
    ///   else. Such a write may be answered `Done` as soon as it is queued: a lost fence then shows on the next one.
    async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome>;

    /// How long the oldest write that waits has waited, milliseconds; 0 if none does. For health.
    fn waiting_ms(&self) -> u64;
}
