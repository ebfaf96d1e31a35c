//! What every connection and every admin request shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::handset::Pool;
use crate::link::Link;
use crate::trouble::Trouble;
use crate::trust::Keys;

/// One running simulator.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) keys: Keys,
    pub(crate) directory: Directory,
    pub(crate) counters: Counters,
    pub(crate) handsets: Pool,
    pub(crate) stop: CancellationToken,
    pairings: Mutex<HashMap<String, Link>>,
    trouble: Mutex<Trouble>,
    next_connection: AtomicU64,
}

impl World {
    pub(crate) fn new(options: Options, keys: Keys, handsets: Pool, stop: CancellationToken) -> Self {
        Self {
            options,
            keys,
            directory: Directory::default(),
            counters: Counters::default(),
            handsets,
            stop,
            pairings: Mutex::new(HashMap::new()),
            trouble: Mutex::new(Trouble::default()),
            next_connection: AtomicU64::new(1),
        }
    }

    /// QR references in use and the unpaired connection behind each.
    pub(crate) fn pairings(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        self.pairings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Faults that apply to every account.
    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }
}
