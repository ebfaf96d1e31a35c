//! Bare clients of the library with its in-memory store: the floor.

mod load;

use crate::process;
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::StreamExt as _;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsConnector;
use wacore::{
    net::{HttpClient, HttpRequest, HttpResponse},
    store::{
        Device,
        device::{CachedNoiseCert, CachedServerCertChain},
        in_memory::InMemoryBackend,
        traits::DeviceStore,
    },
    types::events::{Event, EventHandler, EventInterest, EventKind},
};
use warren_swarm::Simulator;
use whatsapp_rust::{
    Jid, TokioRuntime,
    bot::{Bot, BotHandle},
};
use whatsapp_rust_tokio_transport::{Connector, TokioWebSocketTransportFactory};

const CONNECT_DEADLINE: Duration = Duration::from_secs(600);
/// Pairings at once: as many as Warren's own admission in the benchmarks.
const AT_ONCE: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The simulator's address, http://...
    #[arg(long)]
    simulator: String,
    /// How many clients.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// One-time pre-keys of each.
    #[arg(long, default_value_t = 50)]
    pre_keys: usize,
    /// Connect over TLS.
    #[arg(long)]
    tls: bool,
    /// How long to be idle, seconds; 0 is not.
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// How long each kind of sending takes, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Send, the next text when the last was acknowledged.
    #[arg(long)]
    send: bool,
    /// Then send so many texts a second, evenly spaced, for their latency; 0 does not.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How many texts each then gets; 0 does not.
    #[arg(long, default_value_t = 0)]
    receive: u64,
    /// How many texts one then gets, one after the other, for their latency; 0 does not.
    #[arg(long, default_value_t = 0)]
    one_by_one: u64,
    /// Then close every connection and connect again.
    #[arg(long)]
    reconnect: bool,
}

struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _request: HttpRequest) -> Result<HttpResponse> {
        anyhow::bail!("bare clients use no HTTP")
    }
}

/// What one client tells.
#[derive(Default)]
struct Ears {
    code: std::sync::Mutex<Option<String>>,
    heard: Notify,
    connected: AtomicBool,
    acks: AtomicU64,
    acked: Notify,
    texts: AtomicU64,
    arrived: Notify,
}

struct Handler(Arc<Ears>);

impl EventHandler for Handler {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::PairingQrCode(qr) => {
                if let Ok(mut code) = self.0.code.lock() {
                    *code = Some(qr.code.clone());
                }
                self.0.heard.notify_one();
            }
            Event::Connected(_) => {
                self.0.connected.store(true, Ordering::SeqCst);
                self.0.heard.notify_one();
            }
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                self.0.acks.fetch_add(1, Ordering::Relaxed);
                self.0.acked.notify_one();
            }
            Event::Messages(batch) => {
                self.0.texts.fetch_add(batch.messages.len() as u64, Ordering::Relaxed);
                self.0.arrived.notify_one();
            }
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::PairingQrCode, EventKind::Connected, EventKind::ServerAck, EventKind::Messages])
    }
}

struct Bare {
    handle: BotHandle,
    ears: Arc<Ears>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let simulator = Arc::new(Simulator::new(&arguments.simulator)?);
    let dialing = Dialing::new(&simulator, arguments.tls).await?;
    let own = std::process::id();
    let base = process::private_kib(own)?;
    let started = Instant::now();
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let starting = (0..arguments.clients).map(|_| {
        let (simulator, dialing, gate, pre_keys) = (simulator.clone(), dialing.clone(), gate.clone(), arguments.pre_keys);
        tokio::spawn(async move {
            let _permit = gate.acquire_owned().await?;
            start(&simulator, dialing, pre_keys).await
        })
    });
    let mut clients = Vec::with_capacity(arguments.clients);
    for client in futures::future::join_all(starting).await {
        clients.push(client??);
    }
    let connected_s = started.elapsed().as_secs_f64();
    let mut report = json!({"clients": arguments.clients, "pre_keys": arguments.pre_keys, "connected_s": connected_s});
    if let Some(report) = report.as_object_mut() {
        if arguments.idle > 0 {
            report.insert("idle".into(), load::idle(own, base, &arguments).await?);
        }
        if arguments.send {
            report.insert("send".into(), load::send(&simulator, &clients, own, base, arguments.seconds).await?);
        }
        if arguments.rate > 0 {
            report.insert("paced".into(), load::paced(&simulator, &clients, arguments.rate, arguments.seconds).await?);
        }
        if arguments.receive > 0 {
            report.insert("receive".into(), load::receive(&simulator, &clients, own, arguments.receive).await?);
        }
        if arguments.one_by_one > 0 {
            report.insert("one_by_one".into(), load::one_by_one(&simulator, &clients, arguments.one_by_one).await?);
        }
        if arguments.reconnect {
            report.insert("reconnected_s".into(), reconnect(&clients).await?.into());
        }
    }
    Ok(report)
}

/// How clients reach the simulator.
#[derive(Clone)]
struct Dialing {
    url: String,
    tls: Option<TlsConnector>,
    key: [u8; 32],
}

impl Dialing {
    async fn new(simulator: &Simulator, tls: bool) -> Result<Self> {
        let trust = simulator.trust().await?;
        let mut key = [0; 32];
        hex::decode_to_slice(&trust.static_public_key, &mut key)?;
        let url = simulator.socket(tls);
        let tls = tls.then(|| trusting(&trust.tls_ca_pem)).transpose()?;
        Ok(Self { url, tls, key })
    }

    fn factory(self) -> TokioWebSocketTransportFactory {
        let connector = self.tls.map_or(Connector::Plain, Connector::Rustls);
        TokioWebSocketTransportFactory::new().with_url(self.url).with_connector(connector)
    }
}

fn trusting(authority: &str) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn start(simulator: &Simulator, dialing: Dialing, pre_keys: usize) -> Result<Bare> {
    let backend = InMemoryBackend::new();
    let cert = CachedNoiseCert { key: dialing.key, not_before: 0, not_after: 4_000_000_000 };
    let mut device = Device::new();
    device.pn = Some(Jid::pn_device("1", 0));
    device.server_cert_chain = Some(CachedServerCertChain { leaf: cert.clone(), intermediate: cert });
    backend.save(&device).await?;
    let ears = Arc::new(Ears::default());
    let bot = Bot::builder()
        .with_backend(backend)
        .with_transport_factory(dialing.factory())
        .with_http_client(NoHttp)
        .with_runtime(TokioRuntime)
        .with_event_handler(Handler(ears.clone()))
        .with_version((2, 3000, 1_042_742_319))
        .with_wanted_pre_key_count(pre_keys)
        .skip_history_sync()
        .build()
        .await?;
    let handle = bot.spawn();
    let bare = Bare { handle, ears };
    tokio::time::timeout(CONNECT_DEADLINE, pair(simulator, &bare.ears)).await.context("a client did not connect")??;
    Ok(bare)
}

/// Closes every connection and logs in again, as many at once as pairings; how long until the last one is there, seconds.
async fn reconnect(clients: &[Bare]) -> Result<f64> {
    let started = Instant::now();
    let again = clients.iter().map(|bare| async move {
        bare.ears.connected.store(false, Ordering::SeqCst);
        bare.handle.client().reconnect_immediately().await;
        while !bare.ears.connected.load(Ordering::SeqCst) {
            bare.ears.heard.notified().await;
        }
    });
    let all = futures::stream::iter(again).buffer_unordered(AT_ONCE).collect::<()>();
    tokio::time::timeout(CONNECT_DEADLINE, all).await.context("a client did not connect again")?;
    Ok(started.elapsed().as_secs_f64())
}

async fn pair(simulator: &Simulator, ears: &Ears) -> Result<()> {
    let mut scanned = false;
    while !ears.connected.load(Ordering::SeqCst) {
        ears.heard.notified().await;
        let code = ears.code.lock().ok().and_then(|mut code| code.take());
        if let (Some(code), false) = (code, scanned) {
            simulator.scan(&code).await?;
            scanned = true;
        }
    }
    Ok(())
}
