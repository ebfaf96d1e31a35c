//! The half of a bus that is inside a process: who listens to what. Every adapter hears rings in its own way and passes them
//! on here.

mod queue;

use super::{Listener, Ring, Topic};
use async_trait::async_trait;
use queue::Queue;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks over topics; a power of two. Rings of different tenants seldom meet in one.
const STRIPES: usize = 64;

/// The listeners of one process, by topic. A topic is known as long as somebody listens to it; `C` is what an adapter keeps for
/// it meanwhile (a subscription), dropped with the last listener.
#[derive(Debug)]
pub struct Listeners<C = ()> {
    topics: Box<[Mutex<Topics<C>>]>,
    hasher: RandomState,
    closed: AtomicBool,
}

type Topics<C> = HashMap<Topic, Heard<C>>;

#[derive(Debug)]
struct Heard<C> {
    queues: Vec<Arc<Queue>>,
    /// Kept for its end.
    _companion: C,
}

impl<C> Default for Listeners<C> {
    fn default() -> Self {
        let topics = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { topics, hasher: RandomState::new(), closed: AtomicBool::new(false) }
    }
}

impl<C> Listeners<C> {
    /// Passes a ring on to everybody in this process who listens to the topic. Never blocks: a listener whose queue of 256 is
    /// full hears one [`Ring::Missed`] instead of what is dropped.
    pub fn ring(&self, topic: Topic, ring: &Ring) {
        let Some(stripe) = self.stripe(topic) else { return };
        if let Some(heard) = lock(stripe).get(&topic) {
            for queue in &heard.queues {
                queue.push(ring.clone());
            }
        }
    }

    /// Whether somebody listens to a topic.
    #[must_use]
    pub fn is_heard(&self, topic: Topic) -> bool {
        self.stripe(topic).is_some_and(|stripe| lock(stripe).contains_key(&topic))
    }

    /// Tells every listener of every topic that rings were dropped.
    pub fn missed(&self) {
        for stripe in &self.topics {
            for queue in lock(stripe).values().flat_map(|heard| &heard.queues) {
                queue.push(Ring::Missed);
            }
        }
    }

    /// Ends every listener, after what it has still to hear, and every later one at once.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for stripe in &self.topics {
            // Dropped outside the lock: a companion may do anything when it ends.
            let heard = std::mem::take(&mut *lock(stripe));
            for queue in heard.values().flat_map(|heard| &heard.queues) {
                queue.close();
            }
        }
    }

    /// How many topics somebody listens to.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.topics.iter().map(|stripe| lock(stripe).len()).sum()
    }

    fn stripe(&self, topic: Topic) -> Option<&Mutex<Topics<C>>> {
        let hash = usize::try_from(self.hasher.hash_one(topic) % STRIPES as u64).unwrap_or_default();
        self.topics.get(hash)
    }
}

impl<C: Send + 'static> Listeners<C> {
    /// Listens to a topic from now on. `start` makes what belongs to a topic that nobody listened to; it must not come back
    /// here.
    pub fn listen(self: &Arc<Self>, topic: Topic, start: impl FnOnce() -> C) -> Box<dyn Listener> {
        let queue = Arc::new(Queue::default());
        if let Some(stripe) = self.stripe(topic) {
            let mut topics = lock(stripe);
            // Looked at under the lock that `close` takes after it has set the flag.
            if self.closed.load(Ordering::SeqCst) {
                queue.close();
            } else {
                let heard = topics.entry(topic).or_insert_with(|| Heard { queues: Vec::new(), _companion: start() });
                heard.queues.push(Arc::clone(&queue));
            }
        }
        Box::new(Subscription { listeners: Arc::clone(self), topic, queue })
    }
}

struct Subscription<C> {
    listeners: Arc<Listeners<C>>,
    topic: Topic,
    queue: Arc<Queue>,
}

#[async_trait]
impl<C: Send + 'static> Listener for Subscription<C> {
    async fn next(&mut self) -> Option<Ring> {
        self.queue.pop().await
    }
}

impl<C> Drop for Subscription<C> {
    fn drop(&mut self) {
        let Some(stripe) = self.listeners.stripe(self.topic) else { return };
        let mut topics = lock(stripe);
        let Some(heard) = topics.get_mut(&self.topic) else { return };
        heard.queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        let ended = if heard.queues.is_empty() { topics.remove(&self.topic) } else { None };
        drop(topics);
        drop(ended);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_domain::MessageId;

    #[test]
    fn a_topic_and_its_companion_live_as_long_as_somebody_listens() {
        let listeners = Arc::new(Listeners::default());
        let topic = Topic::Settled(MessageId::generate());
        let companion = Arc::new(());
        let one = listeners.listen(topic, || Arc::clone(&companion));
        let other = listeners.listen(topic, || Arc::new(()));
        assert_eq!((listeners.topics(), Arc::strong_count(&companion)), (1, 2));
        assert!(listeners.is_heard(topic) && !listeners.is_heard(Topic::Settled(MessageId::generate())));
        drop(one);
        assert_eq!((listeners.topics(), Arc::strong_count(&companion)), (1, 2));
        drop(other);
        assert_eq!((listeners.topics(), Arc::strong_count(&companion)), (0, 1));
    }

    #[tokio::test]
    async fn everybody_hears_that_rings_were_dropped() {
        let listeners = Arc::new(Listeners::default());
        let topics = [Topic::Settled(MessageId::generate()), Topic::Settled(MessageId::generate())];
        for mut listener in topics.map(|topic| listeners.listen(topic, || ())) {
            listeners.missed();
            assert_eq!(listener.next().await, Some(Ring::Missed));
        }
    }

    #[tokio::test]
    async fn listening_after_the_end_ends_at_once() {
        let listeners = Arc::new(Listeners::<()>::default());
        listeners.close();
        let topic = Topic::Settled(MessageId::generate());
        assert_eq!(listeners.listen(topic, || ()).next().await, None);
        assert_eq!(listeners.topics(), 0);
    }
}
