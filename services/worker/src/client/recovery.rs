//! Messages that only the account's own phone can still tell: it is asked for those that a crash lost, and its answers, to
//! these and to what the library itself asked for, are committed. The library announces them past its durability hook.
//!
//! Nothing here is promised: a phone may be off, or have the message no more. What was lost has its event before it is asked
//! for (`message.undecryptable`); what comes back is an ordinary `message.received` with `recovered`.

use super::inbound::Inbox;
use crate::session::LostInbound;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::mpsc;
use wacore::types::{events::InboundMessage, message::MessageInfo};
use wacore_binary::{Jid, JidExt, Server};
use whatsapp_rust::Client;

/// Lost messages, and recovered ones, that wait.
pub(super) const WAITING: usize = 1_024;
/// How often the phone is asked for one message, and how long after a request that did not leave.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// What one client has to recover.
pub(super) struct Recovery {
    pub(super) client: Weak<Client>,
    pub(super) inbox: Inbox,
    pub(super) lost: mpsc::Receiver<LostInbound>,
    pub(super) recovered: mpsc::Receiver<InboundMessage>,
}

impl Recovery {
    /// Works until the client is gone.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                Some(message) = self.recovered.recv() => {
                    // A ledger that refuses has given the client up by now; this task ends with it.
                    let _ = Box::pin(self.inbox.take(std::slice::from_ref(&message))).await;
                }
                // Boxed: the library's future is large, and would be part of every idle instance.
                Some(lost) = self.lost.recv() => Box::pin(self.ask(lost)).await,
                else => return,
            }
        }
    }

    async fn ask(&self, lost: LostInbound) {
        let Some(info) = described(&lost) else { return };
        let info = Arc::new(info);
        for _ in 0..ATTEMPTS {
            let Some(client) = self.client.upgrade() else { return };
            if client.send_pdo_placeholder_resend_request(&info).await.is_ok() {
                return;
            }
            drop(client);
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!("the own phone could not be asked for a lost message");
    }
}

/// The message as the library names it.
fn described(lost: &LostInbound) -> Option<MessageInfo> {
    let (chat, sender): (Jid, Jid) = (lost.chat.parse().ok()?, lost.sender.parse().ok()?);
    let mut info = MessageInfo { id: lost.id.clone(), ..MessageInfo::default() };
    info.source.is_group = chat.is_group();
    // The phone answers by number; with both names at hand the answer is known for the same message.
    info.source.sender_alt = lost.sender_phone.as_deref().map(|phone| Jid::new(phone, Server::Pn));
    info.source.chat = chat;
    info.source.sender = sender;
    Some(info)
}
