//! What to do with an open row: the pure part of "never lost, never seen twice". No I/O, no clock; the model test explores
//! it.
//!
//! Every duplicate has one shape: the server accepted, `sent` was not committed, somebody sends again. The answer is to
//! repeat the stored stanza: the same Signal counter, which every recipient's ratchet drops. That holds while the copy is
//! younger than five turns of the ratchet, so a row is settled before anything new goes to its chat, and by age.

use std::time::Duration;
use warren_domain::{Delivery, Epoch, MessageStatus};

/// What is known of an open row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowState {
    /// `Queued` or `Handed`; anything else needs nothing.
    pub status: MessageStatus,
    /// Whether its encrypted form is stored. A row without one never reached the wire.
    pub has_stanza: bool,
    /// Under which epoch it was handed last.
    pub handed_epoch: Option<Epoch>,
    /// What the caller wants when in doubt.
    pub delivery: Delivery,
    /// Whether its `expires_at` has passed.
    pub expired: bool,
    /// How long ago it was first handed.
    pub age: Duration,
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkState {
    /// Under which epoch it acts.
    pub epoch: Epoch,
    /// Whether its offline backlog was received and the receipts in it applied: an answer to an earlier copy may be there.
    pub drained: bool,
    /// Whether the row was already written to this very connection, and its answer may still come.
    pub awaiting_ack: bool,
    /// Whether the stored stanza is known to be dead: the server refused a copy as stale, or the recipient's identity
    /// changed.
    pub stanza_dead: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing now: something that is awaited decides.
    Wait,
    /// Encrypt it and send it, for the first time.
    Encrypt,
    /// Send exactly the stored bytes.
    Resend,
    /// Encrypt it again under the same id, replacing the stored stanza: may be seen twice, never lost.
    EncryptAnew,
    /// It may or may not have been sent, and must not be sent again.
    FailUnknown,
    /// Its time is over and it was never handed.
    Expire,
    /// It needs nothing.
    Settled,
}

/// A stored stanza older than this may have been overtaken by too many turns of the ratchet.
pub const RESEND_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Decides about one row on one connection.
#[must_use]
pub fn decide(row: RowState, link: LinkState) -> Step {
    match row.status {
        MessageStatus::Queued if row.expired => Step::Expire,
        // The backlog may hold messages that turn the ratchet: nothing new before it is through.
        MessageStatus::Queued if !link.drained => Step::Wait,
        MessageStatus::Queued => Step::Encrypt,
        MessageStatus::Handed => handed(row, link),
        _ => Step::Settled,
    }
}

fn handed(row: RowState, link: LinkState) -> Step {
    if row.handed_epoch.is_some_and(|epoch| epoch > link.epoch) {
        // A newer owner has it; this one is about to learn that it lost.
        return Step::Wait;
    }
    if link.awaiting_ack || !link.drained {
        return Step::Wait;
    }
    if !row.has_stanza {
        return Step::Encrypt;
    }
    if !link.stanza_dead && row.age <= RESEND_MAX_AGE {
        return Step::Resend;
    }
    match row.delivery {
        Delivery::AtLeastOnce => Step::EncryptAnew,
        Delivery::AtMostOnce => Step::FailUnknown,
    }
}

/// What the server's refusal of a stanza means. Codes as WhatsApp's server uses them in `<ack class="message" error=..>`
/// (whatsapp-rust 0.7, `node_io.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The number may not write to strangers now.
    ReachoutLimit,
    /// This stored copy is stale; a fresh encryption may pass.
    StaleStanza,
    /// It will never be taken.
    Rejected,
    /// The server cannot take it now.
    Later,
}

/// Reads a refusal. `repeated` says whether the refused stanza was a repeated copy, whose tokens or device list may have
/// aged; a group may have changed how its members are addressed (421), who writes in it and who is in it since. 475 is the
/// library's `NackReason::NewChatMessagesCapped`: like 463 it is about strangers only.
#[must_use]
pub fn refusal(code: &str, repeated: bool) -> Refused {
    match code {
        "400" | "420" | "421" | "463" | "475" | "479" if repeated => Refused::StaleStanza,
        "463" | "475" => Refused::ReachoutLimit,
        "500" | "503" => Refused::Later,
        _ => Refused::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUED: RowState = RowState {
        status: MessageStatus::Queued,
        has_stanza: false,
        handed_epoch: None,
        delivery: Delivery::AtLeastOnce,
        expired: false,
        age: Duration::ZERO,
    };
    const HANDED: RowState =
        RowState { status: MessageStatus::Handed, has_stanza: true, handed_epoch: Some(Epoch(3)), ..QUEUED };
    const READY: LinkState = LinkState { epoch: Epoch(4), drained: true, awaiting_ack: false, stanza_dead: false };

    #[test]
    fn a_fresh_row_is_encrypted_once_the_backlog_is_through() {
        assert_eq!(decide(QUEUED, READY), Step::Encrypt);
        assert_eq!(decide(QUEUED, LinkState { drained: false, ..READY }), Step::Wait);
        assert_eq!(decide(RowState { expired: true, ..QUEUED }, READY), Step::Expire);
    }

    #[test]
    fn a_handed_row_is_repeated_and_never_expires() {
        assert_eq!(decide(RowState { expired: true, ..HANDED }, READY), Step::Resend);
        assert_eq!(decide(HANDED, LinkState { drained: false, ..READY }), Step::Wait);
        assert_eq!(decide(HANDED, LinkState { awaiting_ack: true, ..READY }), Step::Wait);
        assert_eq!(decide(HANDED, LinkState { epoch: Epoch(2), ..READY }), Step::Wait);
    }

    #[test]
    fn a_dead_or_old_stanza_follows_the_policy_of_the_caller() {
        let old = RowState { age: RESEND_MAX_AGE + Duration::from_secs(1), ..HANDED };
        let dead = LinkState { stanza_dead: true, ..READY };
        assert_eq!(decide(old, READY), Step::EncryptAnew);
        assert_eq!(decide(HANDED, dead), Step::EncryptAnew);
        let once = RowState { delivery: Delivery::AtMostOnce, ..old };
        assert_eq!(decide(once, READY), Step::FailUnknown);
        assert_eq!(decide(RowState { delivery: Delivery::AtMostOnce, ..HANDED }, dead), Step::FailUnknown);
    }

    #[test]
    fn a_refusal_of_a_repeated_copy_is_not_final() {
        assert_eq!(refusal("463", false), Refused::ReachoutLimit);
        assert_eq!(refusal("475", false), Refused::ReachoutLimit);
        assert_eq!(refusal("463", true), Refused::StaleStanza);
        assert_eq!(refusal("421", true), Refused::StaleStanza);
        assert_eq!(refusal("420", false), Refused::Rejected);
        assert_eq!(refusal("404", true), Refused::Rejected);
        assert_eq!(refusal("503", false), Refused::Later);
    }
}
