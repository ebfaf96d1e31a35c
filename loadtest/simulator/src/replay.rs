//! Handshakes that were seen before.
//!
//! A client that knows the server's key logs in with its first message (IK). Whoever recorded that message could send it
//! again, and without a word that decrypts take the place of the connection it belongs to. No honest client uses its
//! ephemeral key twice, so the second use is refused. What WhatsApp does about it is not known.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Ephemeral keys remembered; the oldest is forgotten first. Full, they take some 6 MB.
const REMEMBERED: usize = 65_536;

/// The ephemeral keys of the last logins.
#[derive(Default)]
pub(crate) struct Replays(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    keys: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Replays {
    /// Whether this key was not used before, as far as is remembered; from now on it was.
    pub(crate) fn is_first(&self, key: [u8; 32]) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.keys.insert(key) {
            return false;
        }
        seen.order.push_back(key);
        if seen.order.len() > REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_key_is_first_once_and_only_so_many_are_remembered() {
        let replays = Replays::default();
        assert!(replays.is_first(key(0)));
        assert!(!replays.is_first(key(0)));
        for number in 1..=REMEMBERED {
            assert!(replays.is_first(key(number)));
        }
        assert!(replays.is_first(key(0)), "the oldest was forgotten");
        assert!(!replays.is_first(key(REMEMBERED)));
    }
}
