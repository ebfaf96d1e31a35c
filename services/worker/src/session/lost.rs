//! Messages whose key was used and whose text is nowhere: neither in the buffer nor in the log. It happens when the process
//! died between two of the library's writes in an unlucky order; it is said aloud and never passed over in silence.

use super::SessionStore;
use wacore::store::{error::Result, traits::ProtocolStore as _};
use wacore_binary::Jid;
use warren_domain::event::NewEvent;
use warren_ports::ledger::Op;

/// What is known of a lost message, as the server named it.
#[derive(Debug)]
pub(crate) struct LostInbound {
    pub(crate) chat: String,
    pub(crate) sender: String,
    pub(crate) id: String,
    /// The sender's number, where the server named it by its LID and the number is known.
    pub(crate) sender_phone: Option<String>,
}

impl SessionStore {
    /// Commits the event of a lost message, and has the own phone asked for it.
    pub(super) async fn report_lost_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.lost_count.inc();
        let event = NewEvent::message_undecryptable(id, chat, sender, "lost_in_crash", self.clock.now());
        self.write(Op::Append(event)).await?;
        let sender_phone = self.phone_of(sender).await?;
        let lost = LostInbound { chat: chat.into(), sender: sender.into(), id: id.into(), sender_phone };
        if self.lost_inbound.try_send(lost).is_err() {
            tracing::warn!(instance = %self.instance, "too many lost messages: the own phone is not asked for this one");
        }
        Ok(())
    }

    /// The number behind a LID, as far as it is known.
    async fn phone_of(&self, sender: &str) -> Result<Option<String>> {
        let Some(lid) = sender.parse::<Jid>().ok().filter(Jid::is_lid) else { return Ok(None) };
        let mapping = self.get_lid_mapping(&lid.user).await?;
        Ok(mapping.map(|mapping| mapping.phone_number))
    }
}
