//! The client library's storage trait over the ledger.
//!
//! What the store may answer to the library (each was found by losing messages): it never answers an error for a passing
//! condition, it waits. When ownership is lost or 30 s are over, it first poisons itself, closes the transport and aborts
//! the client, and only then returns the error: by that time nothing can be acknowledged any more. The client is rebuilt
//! from the ledger.

mod app_sync;
mod device;
mod files;
mod keys;
mod lost;
mod message_secrets;
mod protocol;
mod signal;
mod tokens;

pub(crate) use lost::LostInbound;

use crate::{admission::Admission, owner::Owner, sealing::DataKey, tasks::ClientTasks, transport::SendGate};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use wacore::store::error::{Result as StoreResult, StoreError};
use warren_domain::{InstanceId, Result, TenantId};
use warren_ports::ledger::{Op, Outcome, OwnerLedger, Record, RecordKind, Write};
use warren_runtime::fault;

/// How long the store waits for the ledger before the client is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const OWN_MESSAGES: usize = 256;
/// From then on the instance is `degraded: store`.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// Why a client had to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The ledger has a higher epoch.
    OwnershipLost,
    /// The ledger has a lower epoch, or none: it went back in time.
    LedgerBehind,
    /// The ledger did not answer in time.
    Timeout,
    /// The ledger refused the data, or a record does not open.
    Refused,
}

impl Poison {
    /// Its name, as a metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OwnershipLost => "ownership_lost",
            Self::LedgerBehind => "ledger_behind",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }
}

/// The session of one client object: dies with it.
pub(crate) struct SessionStore {
    pub(crate) owner: Arc<Owner>,
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    ledger: Arc<dyn OwnerLedger>,
    data_key: DataKey,
    gate: Arc<SendGate>,
    tasks: ClientTasks,
    poisoned: AtomicBool,
    poison: tokio::sync::watch::Sender<Option<Poison>>,
    /// The device as loaded in bulk, until it is read.
    loaded_device: Mutex<Option<Vec<u8>>>,
    /// What a new session starts from.
    new_device: device::NewDevice,
    live_device: device::LiveDevice,
    /// Decrypted messages of this client that are not committed yet: read back without the ledger.
    pending_inbound: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    tokens: tokens::Tokens,
    /// Messages of ours that are on their way: what the library wants kept of them stands in their rows.
    own_messages: Mutex<VecDeque<Box<str>>>,
    /// How often sessions were stored.
    flushes: AtomicU64,
    steps: Steps,
    admission: Arc<Admission>,
    lost_inbound: mpsc::Sender<LostInbound>,
    lost_count: prometheus::IntCounter,
    pub(crate) clock: Arc<dyn warren_domain::time::Clock>,
}

/// What a session store is made of.
pub(crate) struct SessionParts {
    pub(crate) owner: Arc<Owner>,
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) ledger: Arc<dyn OwnerLedger>,
    pub(crate) data_key: DataKey,
    pub(crate) gate: Arc<SendGate>,
    pub(crate) tasks: ClientTasks,
    pub(crate) device: Option<Vec<u8>>,
    pub(crate) trust: Option<[u8; 32]>,
    /// Who stands in line to log in: reads that can wait do.
    pub(crate) admission: Arc<Admission>,
    /// Who asks the own phone for them.
    pub(crate) lost_inbound: mpsc::Sender<LostInbound>,
    pub(crate) lost_count: prometheus::IntCounter,
    pub(crate) clock: Arc<dyn warren_domain::time::Clock>,
}

impl SessionStore {
    pub(crate) fn new(parts: SessionParts) -> (Arc<Self>, tokio::sync::watch::Receiver<Option<Poison>>) {
        let (poison, poisoned) = tokio::sync::watch::channel(None);
        let store = Self {
            owner: parts.owner,
            tenant: parts.tenant,
            instance: parts.instance,
            ledger: parts.ledger,
            data_key: parts.data_key,
            gate: parts.gate,
            tasks: parts.tasks,
            poisoned: AtomicBool::new(false),
            poison,
            loaded_device: Mutex::new(parts.device),
            new_device: device::NewDevice { trust: parts.trust },
            live_device: device::LiveDevice::default(),
            pending_inbound: Mutex::default(),
            tokens: tokens::Tokens::default(),
            own_messages: Mutex::default(),
            flushes: AtomicU64::new(0),
            steps: Steps::default(),
            admission: parts.admission,
            lost_inbound: parts.lost_inbound,
            lost_count: parts.lost_count,
            clock: parts.clock,
        };
        (Arc::new(store), poisoned)
    }

    /// From now on the library's copies of this message are not stored: its row has them. The last 256 are known, more
    /// than can be in flight.
    pub(crate) fn own_message(&self, whatsapp_id: &str) {
        let mut own = self.own_messages.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() >= OWN_MESSAGES {
            own.pop_front();
        }
        own.push_back(whatsapp_id.into());
    }

    fn is_own_message(&self, whatsapp_id: &str) -> bool {
        self.own_messages.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().any(|id| **id == *whatsapp_id)
    }

    /// How far messages were decrypted, if the ratchets of some of them are not stored yet. What is encrypted now may ride on keys
    /// that such a message made, which nobody could make again: it must not leave before they are stored.
    pub(crate) fn unstored_steps(&self) -> Option<u64> {
        self.steps.open()
    }

    /// Everything was flushed that was decrypted up to there.
    pub(crate) fn stored_steps(&self, made: u64) {
        self.steps.stored(made);
    }

    /// For tests: waits until the ratchets as they are now are stored. The flush that is under way may be older.
    pub(crate) async fn sessions_stored(&self) {
        let last = self.flushes.load(Ordering::SeqCst) + 2;
        while self.flushes.load(Ordering::SeqCst) < last {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Gives this client object up: it can never write again, its transport is closed, its tasks are dropped.
    pub(crate) async fn give_up(&self, reason: Poison) {
        if self.poisoned.swap(true, Ordering::SeqCst) {
            return;
        }
        match reason {
            Poison::OwnershipLost => self.owner.lose(),
            Poison::LedgerBehind => self.owner.lose_with_ledger_behind(),
            Poison::Timeout | Poison::Refused => {}
        }
        self.gate.close().await;
        self.poison.send_replace(Some(reason));
        self.tasks.abort();
    }

    async fn fail<T>(&self, reason: Poison) -> StoreResult<T> {
        self.give_up(reason).await;
        Err(StoreError::InvalidConfig("this session was given up".into()))
    }

    /// A write of this session's owner.
    pub(crate) fn fenced(&self, op: Op) -> Write {
        Write { fence: self.owner.fence(), tenant: self.tenant, instance: self.instance, op }
    }

    /// Commits a write, waiting out passing conditions.
    async fn write(&self, op: Op) -> StoreResult<()> {
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(StoreError::InvalidConfig("this session was given up".into()));
        }
        if fault::mutation("store_errors_at_once") {
            // As a store would that refuses: what it refused is never written.
            let probe = self.ledger.commit(vec![self.fenced(Op::Barrier)]);
            if tokio::time::timeout(Duration::from_millis(50), probe).await.is_err() {
                return Err(StoreError::Connection("the store is locked".into()));
            }
        }
        self.commit(vec![self.fenced(op)]).await
    }

    /// Commits writes of this session's owner. Whatever the ledger refuses, or does not answer in 30 s, gives the client up
    /// before the error is returned.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> StoreResult<()> {
        let count = writes.len();
        let Ok(outcomes) = tokio::time::timeout(PATIENCE, self.ledger.commit(writes)).await else {
            return self.fail(Poison::Timeout).await;
        };
        if outcomes.len() < count {
            return self.fail(Poison::Timeout).await;
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Done | Outcome::NoChange => {}
                Outcome::OwnershipLost => return self.fail(Poison::OwnershipLost).await,
                Outcome::LedgerBehind => return self.fail(Poison::LedgerBehind).await,
                Outcome::Refused(error) => {
                    tracing::error!(instance = %self.instance, %error, "the ledger refused a write");
                    return self.fail(Poison::Refused).await;
                }
            }
        }
        Ok(())
    }

    /// Reads, waiting out passing conditions.
    async fn read<T, F, Fut>(&self, mut attempt: F) -> StoreResult<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T>> + Send,
    {
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(StoreError::InvalidConfig("this session was given up".into()));
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if fault::mutation("read_errors_at_once") => {
                    return Err(StoreError::Connection(error.to_string().into()));
                }
                Ok(Err(error)) if error.kind.is_retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(Err(error)) => {
                    tracing::error!(instance = %self.instance, %error, "session state cannot be read");
                    return self.fail(Poison::Refused).await;
                }
                Err(_) => return self.fail(Poison::Timeout).await,
            }
        }
    }

    fn sealed(&self, kind: RecordKind, key: Vec<u8>, value: &[u8], mark: i64) -> StoreResult<Record> {
        let value = self.data_key.seal(kind, &key, value).map_err(|error| StoreError::Serialization(Box::new(error)))?;
        Ok(Record { kind, key, value, mark })
    }

    async fn put(&self, kind: RecordKind, key: Vec<u8>, value: &[u8], mark: i64) -> StoreResult<()> {
        let record = self.sealed(kind, key, value, mark)?;
        self.write(Op::Put(vec![record])).await
    }

    async fn put_all<'a>(
        &self,
        kind: RecordKind,
        records: impl IntoIterator<Item = (Vec<u8>, &'a [u8], i64)>,
    ) -> StoreResult<()> {
        let records = records
            .into_iter()
            .map(|(key, value, mark)| self.sealed(kind, key, value, mark))
            .collect::<StoreResult<Vec<_>>>()?;
        if records.is_empty() {
            return Ok(());
        }
        self.write(Op::Put(records)).await
    }

    async fn delete(&self, kind: RecordKind, keys: Vec<Vec<u8>>) -> StoreResult<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write(Op::Delete { kind, keys }).await
    }

    /// Opens a record; one that does not open is corrupt or foreign, and the session is given up rather than replaced.
    async fn opened(&self, record: Record) -> StoreResult<Opened> {
        match self.data_key.open(record.kind, &record.key, &record.value) {
            Ok(value) => Ok(Opened { key: record.key, value, mark: record.mark }),
            Err(error) => {
                tracing::error!(instance = %self.instance, %error, "session state does not open");
                self.fail(Poison::Refused).await
            }
        }
    }

    async fn get(&self, kind: RecordKind, key: Vec<u8>) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.get_all(kind, vec![key]).await?.pop().map(|record| record.value))
    }

    async fn get_all(&self, kind: RecordKind, keys: Vec<Vec<u8>>) -> StoreResult<Vec<Opened>> {
        let records = self.read(|| self.ledger.records(self.instance, kind, &keys)).await?;
        self.open_all(records).await
    }

    async fn list(&self, kind: RecordKind, prefix: &[u8]) -> StoreResult<Vec<Opened>> {
        let records = self.read(|| self.ledger.records_with_prefix(self.instance, kind, prefix)).await?;
        self.open_all(records).await
    }

    async fn open_all(&self, records: Vec<Record>) -> StoreResult<Vec<Opened>> {
        let mut opened = Vec::with_capacity(records.len());
        for record in records {
            opened.push(self.opened(record).await?);
        }
        Ok(opened)
    }

    /// Seconds since the epoch.
    fn now_seconds(&self) -> i64 {
        self.clock.now().as_seconds()
    }
}

/// Messages decrypted, and how many of them a flush of sessions has stored.
///
/// The library puts a message's session into its cache before it buffers the message here, and holds the cache while a flush
/// writes: whatever was buffered when a flush hands its sessions over is in them.
#[derive(Default)]
struct Steps {
    made: AtomicU64,
    stored: AtomicU64,
}

impl Steps {
    fn make(&self) {
        self.made.fetch_add(1, Ordering::SeqCst);
    }

    /// What a flush that begins now will have stored.
    fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn stored(&self, made: u64) {
        self.stored.fetch_max(made, Ordering::SeqCst);
    }

    fn open(&self) -> Option<u64> {
        Some(self.made()).filter(|made| self.stored.load(Ordering::SeqCst) < *made)
    }
}

/// A record in the clear.
struct Opened {
    key: Vec<u8>,
    value: Vec<u8>,
    mark: i64,
}

fn encode<T: serde::Serialize>(value: &T) -> StoreResult<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> StoreResult<T> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Serialization(Box::new(error)))
}
