//! The phone of an account: a Signal endpoint of its own that decrypts, confirms, reads and writes, so that people of
//! the sandbox exist without a client, and companions have the primary device they expect.
//!
//! All its work runs in a small pool of workers, off the connections' tasks. One account always meets the same worker,
//! so its jobs keep their order; the pool bounds how many jobs wait.

mod app_state;
pub(crate) mod content;
pub(crate) mod draft;
mod group;
mod history;
mod inbox;
mod keys;
mod outbound;
mod pool;
mod receive;
mod rules;
mod sender_keys;
mod signal;

use std::collections::{BTreeSet, HashMap, VecDeque};

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::KeyPair;

use crate::address::Address;

pub(crate) use history::OwnMessages;
pub(crate) use inbox::{Inbox, Item};
pub(crate) use keys::{PhoneKeys, StoredKeys};
pub(crate) use pool::{Job, Pool, Task, worker_count};
pub(crate) use receive::{Ciphertext, Encryption, Incoming};
pub(crate) use rules::resume_absence;
pub(crate) use sender_keys::{SenderKeys, StoredSenderKeys};
pub(crate) use signal::Sessions;

/// Sent messages kept for senders of retry receipts.
const SENT_LIMIT: usize = 256;
/// Messages whose retries are counted at a time.
const RETRY_LIMIT: usize = 1_024;
/// The secret of the account's app state, shared with each companion after pairing.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AppStateKey {
    pub(crate) id: Vec<u8>,
    pub(crate) secret: Vec<u8>,
    pub(crate) created_ms: u64,
}

/// A message this phone wrote, for whoever could not decrypt it.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) id: String,
    /// A phone number, or a group's number: those have more digits.
    pub(crate) to: u64,
    pub(crate) padded: Vec<u8>,
    /// What the stanza says about it.
    pub(crate) form: content::Form,
}

/// `3EB0` and random hex digits, as WhatsApp's clients make them.
pub(crate) fn message_id() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    format!("3EB0{}", random.get(..18).unwrap_or(&random))
}

/// The state of one phone.
pub(crate) struct Handset {
    pub(crate) keys: PhoneKeys,
    pub(crate) sessions: Sessions,
    pub(crate) sender_keys: SenderKeys,
    pub(crate) app_state_key: AppStateKey,
    pub(crate) inbox: Inbox,
    sent: VecDeque<Sent>,
    pub(crate) own_messages: OwnMessages,
    /// Retries asked for, by sender and message.
    retries: HashMap<(Address, String), u8>,
    /// What arrived while the phone was offline.
    waiting: VecDeque<Incoming>,
    /// Companions that were linked while the phone was offline, and lack its app state key.
    owed_key: BTreeSet<u16>,
    pub(crate) undecryptable: u64,
    pub(crate) retries_sent: u64,
    /// Copies of what companions of the same account sent.
    pub(crate) own_copies: u64,
    /// Delivery and read receipts for what this phone wrote.
    pub(crate) delivered: u64,
    pub(crate) read: u64,
}

impl Handset {
    /// A new phone with this identity.
    pub(crate) fn new(identity: KeyPair) -> Self {
        let mut secret = vec![0_u8; 32];
        let mut id = vec![0_u8; 6];
        rand::rng().fill_bytes(&mut secret);
        rand::rng().fill_bytes(&mut id);
        let app_state_key = AppStateKey { id, secret, created_ms: crate::stanza::unix_millis() };
        Self::with(PhoneKeys::new(identity), Sessions::default(), app_state_key, Inbox::default())
    }

    /// A phone from its kept parts.
    pub(crate) fn with(keys: PhoneKeys, sessions: Sessions, app_state_key: AppStateKey, inbox: Inbox) -> Self {
        Self {
            keys,
            sessions,
            sender_keys: SenderKeys::default(),
            app_state_key,
            inbox,
            sent: VecDeque::new(),
            own_messages: OwnMessages::default(),
            retries: HashMap::new(),
            waiting: VecDeque::new(),
            owed_key: BTreeSet::new(),
            undecryptable: 0,
            retries_sent: 0,
            own_copies: 0,
            delivered: 0,
            read: 0,
        }
    }

    fn remember(&mut self, sent: Sent) {
        if self.sent.len() >= SENT_LIMIT {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
    }

    fn sent(&self, id: &str, to: u64) -> Option<Sent> {
        self.sent.iter().rev().find(|sent| sent.id == id && sent.to == to).cloned()
    }

    /// Counts one more retry for this message; `None` when it was asked for often enough.
    fn next_retry(&mut self, from: Address, id: &str) -> Option<u8> {
        if self.retries.len() >= RETRY_LIMIT {
            self.retries.clear();
        }
        let count = self.retries.entry((from, id.to_owned())).or_insert(0);
        if *count >= wacore::protocol::retry::MAX_RETRY_COUNT - 1 {
            return None;
        }
        *count += 1;
        Some(*count)
    }
}
