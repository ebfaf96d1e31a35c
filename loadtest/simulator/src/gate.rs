//! Places for connections, and among them for those that have not said yet who they are.
//!
//! A socket that says nothing costs little, but has a place. So newcomers have fewer places than there are in all; the one
//! that has been silent longest makes room for the next. Honest clients need milliseconds to become known, so that they come
//! through while somebody holds thousands of silent sockets open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Where connections are let in.
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    newcomers: Arc<Newcomers>,
}

struct Newcomers {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order of arrival.
    silent: BTreeMap<u64, CancellationToken>,
}

/// A connection's place; given back when it is dropped.
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    newcomers: Arc<Newcomers>,
    number: u64,
    displaced: CancellationToken,
}

impl Gate {
    /// So many connections in all, and so many of them that are not known yet.
    pub(crate) fn new(places: usize, newcomers: usize) -> Self {
        let waiting = Mutex::default();
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            newcomers: Arc::new(Newcomers { limit: newcomers.max(1), waiting }),
        }
    }

    /// A place for a newcomer, if there is one. Where there are too many newcomers, the oldest is displaced.
    pub(crate) fn admit(&self) -> Option<Place> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let displaced = CancellationToken::new();
        let number = self.newcomers.add(displaced.clone());
        Some(Place { _place: place, newcomers: Arc::clone(&self.newcomers), number, displaced })
    }
}

impl Newcomers {
    fn add(&self, displaced: CancellationToken) -> u64 {
        let mut waiting = self.waiting();
        if waiting.silent.len() >= self.limit
            && let Some((_, oldest)) = waiting.silent.pop_first()
        {
            oldest.cancel();
        }
        waiting.next += 1;
        let number = waiting.next;
        waiting.silent.insert(number, displaced);
        number
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It has said who it is, and is no newcomer any more.
    pub(crate) fn known(&self) {
        self.newcomers.waiting().silent.remove(&self.number);
    }

    /// Whether it has not said yet who it is.
    pub(crate) fn is_newcomer(&self) -> bool {
        self.newcomers.waiting().silent.contains_key(&self.number)
    }

    /// Resolves when the place goes to somebody else; never, once it is known.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.known();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn is_displaced(place: &Place) -> bool {
        place.displaced.is_cancelled()
    }

    #[test]
    fn the_oldest_newcomer_makes_room_and_the_known_stay() {
        let gate = Gate::new(10, 2);
        let (known, old) = (gate.admit().unwrap(), gate.admit().unwrap());
        known.known();
        let first = gate.admit().unwrap();
        assert!(!is_displaced(&old) && !is_displaced(&first));
        let second = gate.admit().unwrap();
        assert!(is_displaced(&old) && !is_displaced(&known) && !is_displaced(&first) && !is_displaced(&second));
        drop(first);
        let third = gate.admit().unwrap();
        assert!(!is_displaced(&second) && !is_displaced(&third), "who left gave the place back");
    }

    #[test]
    fn there_are_only_so_many_places() {
        let gate = Gate::new(1, 5);
        let place = gate.admit().unwrap();
        assert!(gate.admit().is_none());
        drop(place);
        assert!(gate.admit().is_some());
    }
}
