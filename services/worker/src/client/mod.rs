//! One client object of the library, from its building to its end. It has one socket in its life: whatever ends the
//! socket ends the client, and the next one is built from the ledger.

mod attachment;
mod content;
pub(crate) mod groups;
mod http;
mod inbound;
pub(crate) mod literal;
mod recovery;
mod signals;
pub(crate) mod time;

pub(crate) use http::WebClient;
pub(crate) use signals::{ContactChange, ContactSignal, LogoutCause, ReceiptSignal, Sign, Signal};

use crate::{
    MediaFetch,
    media::Files,
    owner::Owner,
    sealing::DataKey,
    session::{Poison, SessionParts, SessionStore},
    shared::Shared,
    tasks::ClientTasks,
    transport::{GatedFactory, Route, SendGate},
};
use inbound::Inbox;
use recovery::Recovery;
use signals::Signals;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use wacore::store::DevicePropsOverride;
use warren_domain::{Error, InstanceId, Result, TenantId, proxy::Proxy};
use whatsapp_rust::{Client, bot::Bot};

/// How long a clean end may take: the library flushes commits, receipts and session state, 5 s each at most.
const GRACE: Duration = Duration::from_secs(15);
/// How long a socket may take to close.
const CLOSE: Duration = Duration::from_secs(1);
/// Signals that wait for the instance's actor. Acks are bounded by the messages in flight, receipts are not: when it is
/// full the connection is given up and rebuilt, because a dropped ack must not be taken for a missing one.
const SIGNALS: usize = 2_048;
/// Received files that wait to be fetched, where that is done as they come in.
const FILES: usize = 256;
/// The WhatsApp Web version claimed to the simulator, which takes any; without it the library would ask WhatsApp's site.
const SIMULATED_VERSION: (u32, u32, u32) = (2, 3000, 1_042_742_319);

/// A running client.
pub(crate) struct Link {
    pub(crate) client: Arc<Client>,
    pub(crate) gate: Arc<SendGate>,
    pub(crate) store: Arc<SessionStore>,
    pub(crate) files: Arc<Files>,
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) poisoned: watch::Receiver<Option<Poison>>,
    pub(crate) tasks: ClientTasks,
    pub(crate) run: tokio::task::JoinHandle<()>,
}

/// What a client is built for.
pub(crate) struct LinkParts {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) owner: Arc<Owner>,
    pub(crate) data_key: DataKey,
    pub(crate) device: Option<Vec<u8>>,
    /// The name that the phone is to show; only a pairing tells it.
    pub(crate) device_name: Option<String>,
    pub(crate) proxy: Option<Proxy>,
}

impl Link {
    /// Builds a client from the ledger and starts it: it connects at once.
    pub(crate) async fn start(shared: &Arc<Shared>, parts: LinkParts) -> Result<Self> {
        let LinkParts { tenant, instance, owner, data_key, device, device_name, proxy } = parts;
        let tasks = ClientTasks::default();
        let gate = SendGate::new(owner.clone(), tenant, instance, shared.ports.ledger.clone(), shared.ports.clock.clone());
        let (lost_inbound, lost) = mpsc::channel(recovery::WAITING);
        let (store, poisoned) = SessionStore::new(SessionParts {
            owner,
            tenant,
            instance,
            ledger: shared.ports.ledger.clone(),
            data_key,
            gate: gate.clone(),
            tasks: tasks.clone(),
            device,
            trust: shared.ports.endpoint.simulator_key(),
            admission: shared.admission.clone(),
            lost_inbound,
            lost_count: shared.metrics.lost_inbound.clone(),
            clock: shared.ports.clock.clone(),
        });
        let (events, signals) = mpsc::channel(SIGNALS);
        let (recoveries, recovered) = mpsc::channel(recovery::WAITING);
        let signals_of = Signals::new(events, recoveries, shared.metrics.signals_dropped.clone());
        let fetches = shared.options.media_fetch == MediaFetch::OnReceipt;
        let (received, files_received) = fetches.then(|| mpsc::channel(FILES)).unzip();
        let inbox = Inbox::new(shared.clone(), store.clone(), received.clone());
        let route = proxy.map(|proxy| Route { guard: shared.ports.egress.clone(), proxy });
        let web = route.as_ref().map_or_else(|| shared.web.clone(), |route| shared.web.through(route));
        let connection = Connection { gate: gate.clone(), route, device_name, web: web.clone() };
        let bot = build(shared, connection, &store, &tasks, signals_of, inbox)
            .await
            .map_err(|error| Error::internal(error.to_string()))?;
        let client = bot.client();
        store.follow_device(&client.persistence_manager());
        let inbox = Inbox::new(shared.clone(), store.clone(), received);
        let files = Files::new(shared, client.clone(), store.clone(), tasks.clone(), web);
        if let Some(files_received) = files_received {
            tasks.run(files.clone().fetch_received(files_received));
        }
        tasks.run(Recovery { client: Arc::downgrade(&client), inbox, lost, recovered }.run());
        // One socket a client: reconnecting is ours to decide.
        client.enable_auto_reconnect.store(false, Ordering::SeqCst);
        let run = tasks.run(bot.run());
        Ok(Self { client, gate, store, files, signals, poisoned, tasks, run })
    }

    /// Ends the client, flushing what the library holds, and waits until nothing of it runs. At most 15 s.
    pub(crate) async fn finish(self) {
        if self.poisoned.borrow().is_none() {
            // An overdue flush is dropped: what was not committed was not acknowledged either.
            let _ = tokio::time::timeout(GRACE, self.client.disconnect()).await;
        }
        self.abort().await;
    }

    /// Ends the client without another write of its own.
    pub(crate) async fn abort(self) {
        self.gate.shut();
        self.tasks.abort();
        // A write that nobody takes holds the socket; it is closed when that write is given up.
        let _ = tokio::time::timeout(CLOSE, self.gate.close()).await;
        self.tasks.ended().await;
    }
}

/// How a client connects, and as what.
struct Connection {
    gate: Arc<SendGate>,
    route: Option<Route>,
    device_name: Option<String>,
    web: WebClient,
}

async fn build(
    shared: &Arc<Shared>,
    connection: Connection,
    store: &Arc<SessionStore>,
    tasks: &ClientTasks,
    signals: Signals,
    inbox: Inbox,
) -> Result<Bot, whatsapp_rust::bot::BotBuilderError> {
    let Connection { gate, route, device_name, web } = connection;
    let builder = Bot::builder()
        .with_backend_arc(store.clone())
        .with_transport_factory(GatedFactory { gate, dialer: shared.dialer.clone(), route })
        .with_http_client(web)
        .with_runtime(tasks.clone())
        .with_event_handler(signals)
        .with_inbound_durability_hook(inbox)
        .with_wanted_pre_key_count(shared.options.pre_keys)
        .skip_history_sync();
    let builder = match shared.ports.endpoint.simulator_key() {
        Some(_) => builder.with_version(SIMULATED_VERSION),
        None => builder,
    };
    let builder = match device_name {
        Some(name) => builder.with_device_props(DevicePropsOverride::new().with_os(name)),
        None => builder,
    };
    builder.build().await
}
