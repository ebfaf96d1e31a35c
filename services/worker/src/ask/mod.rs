//! What the edge asks of WhatsApp through an instance's connection: each as a task of its own beside the sends, bounded in
//! number and time.

mod chats;
mod contacts;
mod groups;
mod media;

use crate::numbers::Numbers;

use crate::media::Files;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinSet};
use warren_ports::bus::{Answer, Ask, Refusal, RefusalKind, Reply};
use whatsapp_rust::Client;

/// Asks of one instance that run at once; those for files, which take longer, apart.
const AT_ONCE: usize = 16;
const FETCHES_AT_ONCE: usize = 64;
/// How long one may take, from when it came. Shorter than the edge waits, so that it is told what is not known.
const LONGEST: Duration = Duration::from_secs(7);
/// How long one may take that brings a file here; what was begun goes on after that.
const LONGEST_FETCH: Duration = Duration::from_secs(40);

/// What an ask works with.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) client: Arc<Client>,
    pub(crate) numbers: Numbers,
    pub(crate) files: Arc<Files>,
}

impl Asker {
    async fn carry_out(&self, ask: Ask) -> Result<Answer, Refusal> {
        match ask {
            Ask::Chat(ask) => chats::carry_out(self, ask).await,
            Ask::Contacts(ask) => contacts::carry_out(self, ask).await,
            Ask::Groups(ask) => groups::carry_out(self, ask).await,
            Ask::Media(ask) => media::carry_out(self, ask).await,
        }
    }
}

/// The asks of one connection.
#[derive(Default)]
pub(crate) struct Asks {
    running: JoinSet<()>,
    fetching: JoinSet<()>,
}

impl Asks {
    /// Begins an ask that came at `since`; its answer goes to whoever asked.
    pub(crate) fn begin(&mut self, asker: Asker, ask: Ask, reply: oneshot::Sender<Reply>, since: Instant) {
        let (running, most, longest) = match ask {
            Ask::Media(_) => (&mut self.fetching, FETCHES_AT_ONCE, LONGEST_FETCH),
            _ => (&mut self.running, AT_ONCE, LONGEST),
        };
        while running.try_join_next().is_some() {}
        if running.len() >= most {
            let full = Refusal::new(
                RefusalKind::Exhausted,
                "too_many_asks",
                "This instance is asking WhatsApp for many things already; try again later.",
            );
            let _ = reply.send(Reply::Refused(full));
            return;
        }
        let reply = Replying(Some(reply));
        let longest = longest.saturating_sub(since.elapsed());
        running.spawn(async move {
            let answered = tokio::time::timeout(longest, asker.carry_out(ask)).await.unwrap_or_else(|_| Err(unanswered()));
            reply.with(answered.map_or_else(Reply::Refused, Reply::Answer));
        });
    }

    /// The next one that ends; `None` while none runs. Those for files are not told of.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.running.join_next().await.map(drop)
    }

    /// Whether none runs that a clean end waits for: those for files take longer than a stop may.
    pub(crate) fn are_done(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends those that run: whoever asked is told that the outcome is not known.
    pub(crate) async fn end(&mut self) {
        self.running.shutdown().await;
        self.fetching.shutdown().await;
    }
}

/// An answer that is owed. A dropped reply would have the bus ask again, and do twice what may have been done.
struct Replying(Option<oneshot::Sender<Reply>>);

impl Replying {
    fn with(mut self, reply: Reply) {
        if let Some(asker) = self.0.take() {
            let _ = asker.send(reply);
        }
    }
}

impl Drop for Replying {
    fn drop(&mut self) {
        if let Some(asker) = self.0.take() {
            let _ = asker.send(Reply::Refused(unanswered()));
        }
    }
}

fn unanswered() -> Refusal {
    Refusal::new(
        RefusalKind::Unknown,
        "no_answer",
        "WhatsApp did not answer before the connection or the time ended; look before you try again.",
    )
}

/// The refusal for an address that is none.
fn no_address() -> Refusal {
    Refusal::new(RefusalKind::Invalid, "invalid_recipient", "This is no address of WhatsApp.")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_ask_is_answered_as_unknown() {
        let (reply, answer) = oneshot::channel();
        drop(Replying(Some(reply)));
        let Reply::Refused(refusal) = answer.await.unwrap() else { unreachable!() };
        assert_eq!((refusal.kind, refusal.code.as_str()), (RefusalKind::Unknown, "no_answer"));
    }
}
