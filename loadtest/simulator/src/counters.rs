//! Counters of the whole server, for `GET /admin/stats`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the start of the process.
        #[derive(Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        impl Counters {
            /// Every counter by its name.
            pub(crate) fn read(&self) -> BTreeMap<&'static str, u64> {
                BTreeMap::from([$((stringify!($name), self.$name.get()),)*])
            }
        }
    };
}

/// One count.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// WebSocket connections open now.
    connections_open,
    /// WebSocket connections since the start.
    connections,
    /// Connections closed at once because there were too many.
    connections_refused,
    /// Connections closed before they said who they are, because too many others had not either.
    connections_displaced,
    /// Handshakes that did not finish, for whatever reason.
    handshakes_failed,
    /// Those among them that took too long.
    handshakes_timed_out,
    /// Those among them that had been seen before.
    handshakes_replayed,
    /// Connections closed for a broken frame, a limit, or a protocol error.
    protocol_errors,
    /// Those among them with a frame, or what it holds, over the limit.
    frames_too_large,
    /// Those among them with a frame that cannot be decrypted or decoded.
    frames_broken,
    /// Those among them that did not read what they were sent.
    writes_timed_out,
    /// Logins that succeeded.
    logins,
    /// Logins refused.
    logins_refused,
    /// Connections closed because the same device logged in again.
    replaced,
    /// Devices paired.
    pairings,
    /// Stanzas of clients.
    stanzas,
    /// Messages accepted from clients.
    messages_accepted,
    /// Message copies queued for companion devices.
    messages_relayed,
    /// Messages refused by injected trouble or for want of a recipient.
    messages_nacked,
    /// Messages lost by injected trouble.
    messages_dropped,
    /// Messages with a repeated id that were not relayed again.
    messages_deduplicated,
    /// Entries lost because a device's queue was full.
    queue_overflows,
    /// Receipts relayed.
    receipts_relayed,
    /// Receipts swallowed by injected trouble.
    receipts_withheld,
    /// Retry receipts relayed or answered.
    retry_receipts,
    /// IQs answered with 501 because nobody here knows them.
    iq_unknown,
    /// Other stanzas nobody here knows.
    stanzas_unknown,
    /// Messages decrypted by phones.
    handset_decrypted,
    /// Copies phones had seen before.
    handset_duplicates,
    /// Messages phones could not decrypt.
    handset_undecryptable,
    /// Messages sent by people.
    handset_sent,
    /// Files taken from clients.
    media_uploads,
    /// Files given to clients, as a whole or in part.
    media_downloads,
    /// Files removed because the store was full.
    media_evicted,
    /// Media that phones fetched and decrypted.
    media_fetched,
    /// Media that phones could not fetch or decrypt.
    media_failed,
    /// Messages refused under a reach-out limit.
    messages_restricted,
    /// Notifications about groups, one for each account told.
    group_notices,
    /// Devices a person could not write to because they had published no keys.
    devices_without_keys,
    /// Snapshot files written.
    snapshots,
    /// Snapshot files that could not be written.
    snapshots_failed,
}
