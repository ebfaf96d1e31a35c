//! What every connection and every admin request shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::admin::scripts::Scripts;
use crate::calls::Calls;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::gaps::Gaps;
use crate::groups::Groups;
use crate::handset::Pool;
use crate::later::Later;
use crate::media::Store;
use crate::newsletters::Newsletters;
use crate::pairing::Showing;
use crate::pairing_code::Waiting;
use crate::refusal::{Refusal, Refusals};
use crate::replay::Replays;
use crate::trouble::Trouble;
use crate::trust::Keys;

/// One running simulator.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) keys: Keys,
    pub(crate) directory: Directory,
    pub(crate) groups: Groups,
    pub(crate) newsletters: Newsletters,
    pub(crate) counters: Counters,
    pub(crate) gaps: Gaps,
    pub(crate) replays: Replays,
    pub(crate) handsets: Pool,
    pub(crate) later: Later,
    pub(crate) media: Store,
    pub(crate) stop: CancellationToken,
    pairings: Mutex<HashMap<String, Showing>>,
    codes: Mutex<HashMap<u64, Waiting>>,
    calls: Mutex<Calls>,
    trouble: Mutex<Trouble>,
    scripts: Mutex<Scripts>,
    next_connection: AtomicU64,
    refusals: Refusals,
}

impl World {
    pub(crate) fn new(options: Options, keys: Keys, handsets: Pool, media: Store, stop: CancellationToken) -> Self {
        Self {
            options,
            keys,
            directory: Directory::default(),
            groups: Groups::default(),
            newsletters: Newsletters::default(),
            counters: Counters::default(),
            gaps: Gaps::default(),
            replays: Replays::default(),
            refusals: Refusals::default(),
            handsets,
            later: Later::default(),
            media,
            stop,
            pairings: Mutex::new(HashMap::new()),
            codes: Mutex::default(),
            calls: Mutex::default(),
            trouble: Mutex::new(Trouble::default()),
            scripts: Mutex::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// QR references in use and who shows each.
    pub(crate) fn pairings(&self) -> MutexGuard<'_, HashMap<String, Showing>> {
        self.pairings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Companions that show a code, by the number of the phone it is for.
    pub(crate) fn codes(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every call.
    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Faults that apply to every account.
    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer broke the protocol or a limit, and loses its connection.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusals.note(&self.counters, refusal);
    }

    /// What is done at its time.
    pub(crate) fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }
}
