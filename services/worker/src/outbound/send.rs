//! One send: the stanza is claimed and stored before it leaves, whichever way it is sent.

use super::{audience, content};
use crate::{
    numbers::{Numbers, Reached},
    owner::Owner,
    session::SessionStore,
    transport::{Armed, SendGate},
};
use std::{str::FromStr, sync::Arc};
use wacore_binary::{Jid, JidExt as _};
use warren_domain::{message::Outbound, time::Clock};
use warren_ports::ledger::{Op, Outcome, OwnerLedger, Write};
use warren_runtime::fault;
use whatsapp_rust::{Client, NodeFilter, SendError, SendOptions};

/// What became of a send.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It was written to the socket: the server's answer is awaited.
    Written,
    /// Nothing of it left. The reason tells whether trying again makes sense.
    NotSent(NotSent),
    /// It must not be sent (any more): its row is settled, or somebody else has it.
    NotMine,
    /// It may have left: the connection has to be rebuilt, the ledger knows.
    InDoubt,
}

/// Why nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The connection is not usable.
    Disconnected,
    /// The recipient cannot be written to as it is.
    Unreachable,
    /// WhatsApp does not let this account write there: it is not in the group.
    Refused,
    /// This version cannot send such content.
    Unsupported,
}

/// What a send needs of its connection. Owned, because a send runs as a task: it is cut short only when its gate is shut and
/// nothing of it can leave any more.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) client: Arc<Client>,
    pub(crate) gate: Arc<SendGate>,
    pub(crate) store: Arc<SessionStore>,
    pub(crate) ledger: Arc<dyn OwnerLedger>,
    pub(crate) owner: Arc<Owner>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) numbers: Numbers,
}

impl Sender {
    /// Encrypts and sends. The barrier claims the row with its stanza before the frame leaves.
    pub(crate) async fn encrypt(&self, row: &Outbound, replace_stanza: bool) -> Sent {
        let Some(message) = content::message(row, self.store.upload_of(row)) else {
            return Sent::NotSent(NotSent::Unsupported);
        };
        let Ok(to) = Jid::from_str(&row.message.chat) else { return Sent::NotSent(NotSent::Unreachable) };
        let to = match self.numbers.reached(to).await {
            Ok(Reached::At(to)) => to,
            Ok(Reached::Nowhere) => return Sent::NotSent(NotSent::Unreachable),
            Err(_) => return Sent::NotSent(NotSent::Disconnected),
        };
        let audience = match to.is_group() {
            true => match audience::of(&self.client, &to, replace_stanza).await {
                Ok(audience) => audience,
                Err(reason) => return Sent::NotSent(reason),
            },
            false => None,
        };
        // After a message of the other side a new chain of keys begins, of which the library has stored nothing yet. An answer that
        // rides on it and leaves, while the chain is lost with this process, is the last that the other side can read.
        if let Some(steps) = self.store.unstored_steps() {
            if self.client.flush_pending_signal_state().await.is_err() {
                return Sent::NotSent(NotSent::Disconnected);
            }
            self.store.stored_steps(steps);
        }
        let id = &row.message.whatsapp_id;
        let stanza = self.client.wait_for_sent_node(NodeFilter::tag("message").attr("id", id.as_str()));
        self.gate.barrier.arm(row.message.id, Armed { stanza, replace_stanza, audience });
        self.store.own_message(id);
        let options = SendOptions::default().with_message_id(id.as_str());
        let result = self.client.send_message_with_options(to, message, options).await;
        let captured = !self.gate.barrier.disarm(row.message.id);
        match result {
            Ok(_) => Sent::Written,
            // Past the barrier: the claim may be committed and the frame on the wire.
            Err(_) if captured => Sent::InDoubt,
            Err(error) => Sent::NotSent(reason(&error, &self.client)),
        }
    }

    /// Repeats the stored stanza: claims it for this epoch, then sends exactly its bytes.
    pub(crate) async fn resend(&self, row: &Outbound) -> Sent {
        let Some(stanza) = row.stanza.clone() else { return Sent::NotMine };
        let claim =
            Op::Claim { message: row.message.id, stanza: stanza.clone(), replace_stanza: false, at: self.clock.now() };
        let write =
            Write { fence: self.owner.fence(), tenant: row.message.tenant, instance: row.message.instance, op: claim };
        match self.ledger.commit(vec![write]).await.pop() {
            Some(Outcome::Done) => {}
            Some(Outcome::OwnershipLost | Outcome::LedgerBehind) => {
                self.owner.lose();
                return Sent::NotMine;
            }
            Some(Outcome::NoChange) => return Sent::NotMine,
            // Its row is still open: its chat must not go on without it.
            Some(Outcome::Refused(_)) | None => return Sent::InDoubt,
        }
        fault::point("outbound.reclaimed");
        match self.client.send_raw_bytes(stanza).await {
            Ok(()) => Sent::Written,
            Err(_) => Sent::InDoubt,
        }
    }
}

fn reason(error: &SendError, client: &Client) -> NotSent {
    if !client.is_logged_in() || matches!(error, SendError::NotLoggedIn | SendError::Client(_)) {
        return NotSent::Disconnected;
    }
    NotSent::Unreachable
}
