//! Bare clients of the library with its in-memory store: the floor.

use crate::{process, simulator::Simulator};
use anyhow::{Context, Result};
use async_trait::async_trait;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::{
    str::FromStr,
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
use waproto::whatsapp as wa;
use whatsapp_rust::{
    Client, Jid, TokioRuntime,
    bot::{Bot, BotHandle},
};
use whatsapp_rust_tokio_transport::{Connector, TokioWebSocketTransportFactory};

const CONNECT_DEADLINE: Duration = Duration::from_secs(600);
/// Pairings at once: as many as Warren's own admission in the benchmarks.
const AT_ONCE: usize = 64;

/// Between the last pairing and being idle.
const SETTLE: Duration = Duration::from_secs(45);

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
    /// How long to be idle, seconds.
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// How long to send, seconds; 0 does not.
    #[arg(long, default_value_t = 0)]
    send: u64,
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
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::PairingQrCode, EventKind::Connected, EventKind::ServerAck])
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
    let idle = idle(own, base, &arguments).await?;
    let mut report =
        json!({"clients": arguments.clients, "pre_keys": arguments.pre_keys, "connected_s": connected_s, "idle": idle});
    if arguments.send > 0 {
        let sending = send(&simulator, &clients, own, base, arguments.send).await?;
        if let Some(report) = report.as_object_mut() {
            report.insert("send".into(), sending);
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

async fn idle(own: u32, base: u64, arguments: &Arguments) -> Result<Value> {
    // What pairing left to do is not part of being idle; the client library saves its device after half a minute.
    tokio::time::sleep(SETTLE).await;
    let (cpu, since) = (process::cpu_seconds(own)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    let used = process::cpu_seconds(own)? - cpu;
    let count = arguments.clients as f64;
    Ok(json!({
        "private_kib_each": (process::private_kib(own)?.saturating_sub(base)) as f64 / count,
        "cpu_us_each_s": used / since.elapsed().as_secs_f64() / count * 1e6,
    }))
}

/// Every client writes to its own person, the next text when the server acknowledged the last.
async fn send(simulator: &Simulator, clients: &[Bare], own: u32, base: u64, seconds: u64) -> Result<Value> {
    let people = simulator.people(clients.len()).await?;
    // The first text of a pair costs a key exchange; it is not part of the rate.
    let first = clients.iter().zip(&people).map(|(bare, person)| send_one(bare, person));
    futures::future::try_join_all(first).await?;
    let (cpu, since) = (process::cpu_seconds(own)?, Instant::now());
    let deadline = since + Duration::from_secs(seconds);
    let before: u64 = clients.iter().map(|bare| bare.ears.acks.load(Ordering::Relaxed)).sum();
    let loops = clients.iter().zip(&people).map(|(bare, person)| async move {
        while Instant::now() < deadline {
            send_one(bare, person).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(loops).await?;
    let after: u64 = clients.iter().map(|bare| bare.ears.acks.load(Ordering::Relaxed)).sum();
    let (sent, took) = ((after - before) as f64, since.elapsed().as_secs_f64());
    Ok(json!({
        "sent_per_s": sent / took,
        "cpu_us_per_text": (process::cpu_seconds(own)? - cpu) / sent * 1e6,
        "private_kib_each_after": (process::private_kib(own)?.saturating_sub(base)) as f64 / clients.len() as f64,
    }))
}

async fn send_one(bare: &Bare, person: &str) -> Result<()> {
    const ACK: Duration = Duration::from_secs(30);
    let client: Arc<Client> = bare.handle.client();
    let to = Jid::from_str(&format!("{person}@s.whatsapp.net"))?;
    let acks = bare.ears.acks.load(Ordering::Relaxed);
    let text = wa::Message { conversation: Some("The quick brown fox, once more.".into()), ..Default::default() };
    client.send_message(to, text).await?;
    tokio::time::timeout(ACK, async {
        while bare.ears.acks.load(Ordering::Relaxed) == acks {
            bare.ears.acked.notified().await;
        }
    })
    .await
    .context("a text was not acknowledged")
}
