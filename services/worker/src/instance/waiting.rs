//! Asks of an instance that is about to be online: they wait for it a little, so that nobody who asks notices that it changed
//! hands, or that its connection was cut.

use super::command::not_online;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::{sync::oneshot, task::AbortHandle};
use warren_ports::bus::{Ask, Reply};

/// Asks that wait for one instance; those beyond are told at once that it is not online.
const MOST: usize = 32;
/// How long one waits. The edge waits for longer than this and the ask itself together.
const PATIENCE: Duration = Duration::from_secs(5);

/// An ask that waited.
pub(super) struct Waited {
    pub(super) ask: Ask,
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) since: Instant,
}

struct Place {
    held: Arc<Mutex<Option<Waited>>>,
    expiry: AbortHandle,
}

impl Place {
    fn take(self) -> Option<Waited> {
        self.expiry.abort();
        take(&self.held)
    }
}

fn take(held: &Mutex<Option<Waited>>) -> Option<Waited> {
    held.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Those of one instance. Dropped, it drops their replies, and the bus asks whoever owns the instance then.
#[derive(Default)]
pub(super) struct Waiting {
    places: Vec<Place>,
}

impl Waiting {
    /// Has an ask wait, and answers it when it waited for too long.
    pub(super) fn push(&mut self, ask: Ask, reply: oneshot::Sender<Reply>) {
        self.push_for(PATIENCE, ask, reply);
    }

    fn push_for(&mut self, patience: Duration, ask: Ask, reply: oneshot::Sender<Reply>) {
        self.places.retain(|place| !place.expiry.is_finished());
        if self.places.len() >= MOST {
            let _ = reply.send(not_online());
            return;
        }
        let held = Arc::new(Mutex::new(Some(Waited { ask, reply, since: Instant::now() })));
        let expiring = held.clone();
        let expiry = tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            if let Some(waited) = take(&expiring) {
                let _ = waited.reply.send(not_online());
            }
        });
        self.places.push(Place { held, expiry: expiry.abort_handle() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.iter().all(|place| place.expiry.is_finished())
    }

    /// All that still wait, in the order in which they came.
    pub(super) fn take(&mut self) -> Vec<Waited> {
        self.places.drain(..).filter_map(Place::take).collect()
    }

    /// It will not be online: all are told so.
    pub(super) fn refuse(&mut self) {
        for waited in self.take() {
            let _ = waited.reply.send(not_online());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use warren_domain::MediaId;
    use warren_ports::bus::ask::MediaAsk;

    fn ask() -> Ask {
        Ask::Media(MediaAsk::Fetch { media: MediaId::generate() })
    }

    fn is_not_online(reply: &Reply) -> bool {
        matches!(reply, Reply::Refused(refusal) if refusal.code == "not_online")
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_so() {
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        waiting.push_for(Duration::from_millis(20), ask(), reply);
        assert!(answer.try_recv().is_err());
        assert!(is_not_online(&answer.await.unwrap()));
        assert!(waiting.take().is_empty());
    }

    #[tokio::test]
    async fn who_is_taken_is_answered_by_who_takes() {
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        waiting.push_for(Duration::from_millis(20), ask(), reply);
        let expiry = waiting.places[0].expiry.clone();
        let mut taken = waiting.take();
        while !expiry.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "nobody else answers");
        taken.pop().unwrap().reply.send(Reply::Accepted).unwrap();
        assert!(taken.is_empty() && matches!(answer.await.unwrap(), Reply::Accepted));
    }

    #[tokio::test]
    async fn there_are_so_many_and_no_more_and_a_lost_instance_drops_them() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        for _ in 0..=MOST {
            let (reply, answer) = oneshot::channel();
            waiting.push(ask(), reply);
            answers.push(answer);
        }
        assert!(is_not_online(&answers.pop().unwrap().await.unwrap()));
        drop(waiting);
        for answer in answers {
            assert!(answer.await.is_err(), "the bus is to ask again");
        }
    }
}
