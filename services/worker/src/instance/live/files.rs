//! Messages with a file: it is brought to WhatsApp before its message is encrypted. Its chat waits meanwhile, other chats go on.

use super::{Live, LiveEnd, Round};
use crate::{
    instance::policy::Ending,
    media::Prepared,
    outbound::{decide::Step, queue::Next},
};
use std::{collections::HashMap, time::Duration};
use tokio::task::JoinSet;
use warren_domain::{MessageId, message::Outbound};

/// The pause after the first failed attempt; it doubles with each, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The files that one connection brings to WhatsApp.
#[derive(Default)]
pub(super) struct Preparations {
    running: JoinSet<(Next, Prepared)>,
    /// How often those were tried that wait for another attempt, or are under way.
    attempts: HashMap<MessageId, u32>,
}

impl Preparations {
    /// How many messages in flight wait for their file.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// The next one that ended; `None` at once while there is none. `Err`: it panicked.
    pub(super) async fn next(&mut self) -> Option<Result<(Next, Prepared), ()>> {
        self.running.join_next().await.map(|ended| ended.map_err(|_| ()))
    }

    /// Ends those that run. Their messages stay as they are.
    pub(super) fn end(&mut self) {
        self.running.abort_all();
        self.running.detach_all();
    }
}

/// Whether a message has a file that is not at WhatsApp yet, as far as its row knows.
pub(super) fn awaits_file(row: &Outbound, step: Step) -> bool {
    matches!(step, Step::Encrypt | Step::EncryptAnew) && row.upload.is_none() && row.message.content.attachment().is_some()
}

impl Live<'_> {
    /// Begins to bring the file of a message to WhatsApp.
    pub(super) fn prepare(&mut self, next: Next) -> Round {
        let attempt = self.preparations.attempts.get(&next.row.message.id).copied().unwrap_or_default();
        let files = self.link.files.clone();
        self.preparations.running.spawn(async move {
            let prepared = Box::pin(files.prepare(&next.row, attempt)).await;
            (next, prepared)
        });
        None
    }

    /// A file is at WhatsApp, or is not.
    pub(super) fn prepared(&mut self, ended: Result<(Next, Prepared), ()>) -> Round {
        let Ok((mut next, prepared)) = ended else { return Some(LiveEnd::Ended(Ending::Unanswered)) };
        let message = next.row.message.id;
        let id = next.row.message.whatsapp_id.clone();
        if !matches!(prepared, Prepared::Later) {
            self.preparations.attempts.remove(&message);
        }
        match prepared {
            Prepared::Ready(upload) => {
                self.queue.keep_upload(&id, &upload);
                next.row.upload = Some(upload);
                self.start(next)
            }
            Prepared::Later => {
                let attempts = self.preparations.attempts.entry(message).or_default();
                self.queue.wait(&id, pause(*attempts));
                *attempts += 1;
                None
            }
            Prepared::Failed(reason) => self.fail(&next.row, reason),
            Prepared::NotMine => {
                self.queue.settle(&id);
                None
            }
            Prepared::Lost => Some(LiveEnd::Ended(Ending::Unanswered)),
        }
    }
}

fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let seconds: Vec<_> = [0, 1, 2, 7, 8, 40].map(|attempts| pause(attempts).as_secs()).into();
        assert_eq!(seconds, [2, 4, 8, 256, 300, 300]);
    }
}
