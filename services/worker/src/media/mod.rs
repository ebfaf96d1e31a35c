//! Files of messages: up to WhatsApp's media hosts before a message is encrypted, down from them when somebody asks, and from
//! links that callers named. The bytes go through the object store, a piece at a time, whatever their number.

mod fetch;
mod link;
mod source;
mod upload;

pub(crate) use fetch::{Fetched, Source, Wanted, is_path};
pub(crate) use upload::Prepared;

use crate::{client::WebClient, session::SessionStore, shared::Shared, tasks::ClientTasks};
use moka::future::Cache;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, watch};
use wacore::download::MediaType;
use waproto::whatsapp as wa;
use warren_domain::{
    FailureReason, InstanceId, MediaId, MessageId,
    event::NewEvent,
    media::{Media, MediaKind, MediaOutcome},
};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Op, Outcome},
    objects::ObjectName,
};
use whatsapp_rust::Client;

/// Files that one instance brings to WhatsApp at once, and fetches from there.
const UPLOADS: usize = 4;
const FETCHES: usize = 4;
/// The same for all instances of a worker. Each transfer holds a thread.
const WORKER_UPLOADS: usize = 32;
const WORKER_FETCHES: usize = 32;
/// Files of one instance that are fetched, or wait for it.
const FETCHES_WAITING: usize = 256;
/// Uploads that are remembered, to be sent again, and how long: WhatsApp keeps a file for weeks.
const REMEMBERED: u64 = 1_000;
const FRESH: Duration = Duration::from_secs(6 * 3_600);

/// What all instances of a worker share.
pub(crate) struct MediaDesk {
    uploads: Semaphore,
    fetches: Semaphore,
    /// What a file became at WhatsApp, for one account and one kind of message: keys are not shared between accounts.
    sent: Cache<(InstanceId, MediaId, MediaKind), Arc<wa::Message>>,
}

impl MediaDesk {
    pub(crate) fn new() -> Self {
        Self {
            uploads: Semaphore::new(WORKER_UPLOADS),
            fetches: Semaphore::new(WORKER_FETCHES),
            sent: Cache::builder().max_capacity(REMEMBERED).time_to_live(FRESH).build(),
        }
    }
}

/// The files of one connection.
pub(crate) struct Files {
    shared: Arc<Shared>,
    client: Arc<Client>,
    store: Arc<SessionStore>,
    tasks: ClientTasks,
    /// The instance's own way to the media hosts.
    web: WebClient,
    uploads: Semaphore,
    fetches: Semaphore,
    fetching: Mutex<HashMap<MediaId, watch::Receiver<Option<Fetched>>>>,
}

/// Why a file is not where it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Later it may be.
    Passing,
    /// It cannot be had, or not be sent as it is asked.
    Message(FailureReason),
    /// The message is not to be sent any more.
    NotOpen,
    /// Somebody else owns the instance now, or the ledger refused: the connection has to end.
    Lost,
}

impl Files {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        client: Arc<Client>,
        store: Arc<SessionStore>,
        tasks: ClientTasks,
        web: WebClient,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: shared.clone(),
            client,
            store,
            tasks,
            web,
            uploads: Semaphore::new(UPLOADS),
            fetches: Semaphore::new(FETCHES),
            fetching: Mutex::default(),
        })
    }

    /// Fetches what came in, for a deployment that wants it at once. Ends with the client.
    pub(crate) async fn fetch_received(self: Arc<Self>, mut received: mpsc::Receiver<MediaId>) {
        while let Some(media) = received.recv().await {
            // What does not come now is fetched when somebody asks.
            let _ = self.fetch(media, Wanted::default()).await;
        }
    }

    /// Says in the ledger what became of a pending file. `false`: it is not pending any more.
    async fn settle(&self, media: MediaId, message: Option<MessageId>, outcome: MediaOutcome) -> Result<bool, Trouble> {
        let event = NewEvent::media_updated(media, message, &outcome, self.shared.ports.clock.now());
        let settled = self.commit(Op::SettleMedia { media, outcome, event: Some(event) }).await?;
        self.shared.ports.bus.ring(Topic::Log(self.store.tenant), Ring::Log);
        Ok(settled)
    }

    /// The tenant's file as the ledger has it.
    async fn known(&self, media: MediaId) -> Result<Media, Trouble> {
        let found = self.shared.ports.ledger.media(self.store.tenant, media).await.map_err(|_| Trouble::Passing)?;
        found.ok_or(Trouble::Message(FailureReason::Media))
    }

    fn object(&self, media: MediaId) -> ObjectName {
        ObjectName { tenant: self.store.tenant, media }
    }

    /// Commits a write of this connection's owner. `false`: there was nothing to change.
    async fn commit(&self, op: Op) -> Result<bool, Trouble> {
        match self.shared.ports.ledger.commit(vec![self.store.fenced(op)]).await.pop() {
            Some(Outcome::Done) => Ok(true),
            Some(Outcome::NoChange) => Ok(false),
            Some(Outcome::OwnershipLost | Outcome::LedgerBehind) => {
                self.store.owner.lose();
                Err(Trouble::Lost)
            }
            Some(Outcome::Refused(error)) => {
                tracing::error!(instance = %self.store.instance, %error, "the ledger refused what became of a file");
                Err(Trouble::Lost)
            }
            None => Err(Trouble::Lost),
        }
    }
}

/// What the library calls it: the keys of a file depend on it.
fn media_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}
