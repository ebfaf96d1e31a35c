//! Writes that are wrong by themselves, whatever is stored.

use warren_domain::event::NewEvent;
use warren_domain::media::Media;
use warren_domain::{Direction, Error, MessageStatus};
use warren_ports::ledger::{Inbound, Op, ReceiptTarget, Write};

/// How many ids one receipt may name.
const RECEIPT_IDS: usize = 1_000;
/// How many members an audience may have.
const AUDIENCE: usize = 2_048;

/// Why a write is refused, if it is.
pub(super) fn of(write: &Write) -> Option<Error> {
    match &write.op {
        Op::Append(event) => ephemeral(event),
        Op::SetAccount { event, .. } | Op::SettleMedia { event, .. } => event.as_ref().and_then(ephemeral),
        Op::Receive(inbound) => misplaced(write, inbound).or_else(|| ephemeral(&inbound.event)),
        Op::Receipt(target) | Op::MemberReceipt { target, .. } => no_receipt(target),
        Op::Audience { members, .. } if members.len() > AUDIENCE => {
            Some(Error::invalid("audience_too_large", "An audience has at most 2,048 members."))
        }
        _ => None,
    }
}

fn ephemeral(event: &NewEvent) -> Option<Error> {
    event.kind.is_ephemeral().then(|| Error::invalid("ephemeral_event", "An ephemeral event is not stored."))
}

fn misplaced(write: &Write, inbound: &Inbound) -> Option<Error> {
    let message = &inbound.message;
    if message.direction != Direction::Inbound || message.instance != write.instance || message.tenant != write.tenant {
        let detail = "A received message is inbound and of the instance that received it.";
        return Some(Error::invalid("not_inbound", detail));
    }
    let is_ours = |file: &Media| file.tenant == write.tenant && file.instance == Some(write.instance);
    if inbound.media.as_ref().is_some_and(|file| !is_ours(file)) {
        let detail = "The file of a received message is of the instance that received it.";
        return Some(Error::invalid("foreign_media", detail));
    }
    None
}

fn no_receipt(target: &ReceiptTarget) -> Option<Error> {
    if target.whatsapp_ids.len() > RECEIPT_IDS {
        return Some(Error::invalid("receipt_too_large", "A receipt names at most 1,000 messages."));
    }
    match target.status {
        MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played => None,
        MessageStatus::Queued | MessageStatus::Handed | MessageStatus::Failed => {
            Some(Error::invalid("receipt_status", "A receipt says sent, delivered, read or played."))
        }
    }
}
