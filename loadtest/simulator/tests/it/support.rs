//! Unmodified clients, a small HTTP client for the admin API, and waiting for conditions.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use whatsapp_rust::wacore::store::traits::DeviceStore as _;
use whatsapp_rust::wacore::store::{Device, InMemoryBackend};
use whatsapp_rust::wacore::types::events::{Event, InboundMessage};
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{Client, Jid};

/// No condition in these tests takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Media and version requests are not part of what is tested: there is no way out.
struct NoHttp;

#[async_trait::async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _: HttpRequest) -> anyhow::Result<HttpResponse> {
        anyhow::bail!("no HTTP in these tests")
    }
}

/// A simulator on a free port of the loopback interface.
pub(crate) async fn simulator(options: Options) -> Simulator {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Simulator::start(listener, options).await.unwrap()
}

/// A client with everything it was told so far.
pub(crate) struct Phoneless {
    pub(crate) client: Arc<Client>,
    pub(crate) backend: Arc<InMemoryBackend>,
    handle: BotHandle,
    events: Arc<Mutex<Vec<Arc<Event>>>>,
    news: Arc<Notify>,
}

/// A store as a fresh session of the product has it: the simulator's key is pinned, nothing is paired.
pub(crate) async fn seeded(simulator: &Simulator) -> Arc<InMemoryBackend> {
    let pinned = CachedNoiseCert { key: simulator.trust().static_public_key, not_before: 0, not_after: 4_000_000_000 };
    let mut device = Device::new();
    device.pn = Some(Jid::pn_device("1", 0));
    device.server_cert_chain = Some(CachedServerCertChain { leaf: pinned.clone(), intermediate: pinned });
    let backend = Arc::new(InMemoryBackend::new());
    backend.save(&device).await.unwrap();
    backend
}

impl Phoneless {
    /// Starts a client on a store.
    pub(crate) async fn start(address: SocketAddr, backend: Arc<InMemoryBackend>) -> Self {
        Self::start_with(address, backend, NoHttp).await
    }

    /// Starts a client that reaches the media host.
    pub(crate) async fn start_with(
        address: SocketAddr,
        backend: Arc<InMemoryBackend>,
        http: impl HttpClient + 'static,
    ) -> Self {
        let events: Arc<Mutex<Vec<Arc<Event>>>> = Arc::default();
        let news = Arc::new(Notify::new());
        let (seen, told) = (Arc::clone(&events), Arc::clone(&news));
        let transport =
            whatsapp_rust::transport::TokioWebSocketTransportFactory::new().with_url(format!("ws://{address}/ws/chat"));
        let bot = Bot::builder()
            .with_backend_arc(backend.clone())
            .with_transport_factory(transport)
            .with_http_client(http)
            .with_version((2, 3000, 1_023_000_000))
            .with_wanted_pre_key_count(30)
            .on_event(move |event, _| {
                seen.lock().unwrap().push(event);
                told.notify_waiters();
                async {}
            })
            .build()
            .await
            .unwrap();
        let handle = bot.spawn();
        Self { client: handle.client(), backend, handle, events, news }
    }

    /// Waits until an event fits; earlier ones count.
    pub(crate) async fn wait_for<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let notified = self.news.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                if let Some(found) = self.find(&pick) {
                    return found;
                }
                notified.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no {what}; saw {:?}", self.kinds()),
        }
    }

    /// What happened before no longer counts.
    pub(crate) fn forget(&self) {
        self.events.lock().unwrap().clear();
    }

    pub(crate) fn find<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
        self.events.lock().unwrap().iter().find_map(|event| pick(event))
    }

    fn kinds(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events.iter().map(|event| format!("{event:?}").chars().take(60).collect()).collect()
    }

    pub(crate) async fn wait_connected(&self) {
        self.wait_for("Connected", |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    /// How often a text surfaced.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|event| match &**event {
                Event::Messages(batch) => Some(batch),
                _ => None,
            })
            .flat_map(|batch| batch.messages.iter())
            .filter(|inbound| text_of(&inbound.message).as_deref() == Some(wanted))
            .count()
    }

    pub(crate) async fn wait_text(&self, wanted: &str) -> InboundMessage {
        self.wait_for(wanted, |event| match event {
            Event::Messages(batch) => {
                batch.messages.iter().find(|inbound| text_of(&inbound.message).as_deref() == Some(wanted)).cloned()
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn send(&self, to: &str, text: &str) -> String {
        let message = Message { conversation: Some(text.to_owned()), ..Default::default() };
        let sent = tokio::time::timeout(PATIENCE, self.client.send_message(to.parse::<Jid>().unwrap(), message));
        sent.await.expect("sending took too long").unwrap().message_id
    }

    /// Starts another client on the same store, as a second worker would.
    pub(crate) async fn twin(&self, address: SocketAddr) -> Self {
        Self::start(address, Arc::clone(&self.backend)).await
    }

    /// Stops gracefully; the store can be used again.
    pub(crate) async fn stop(self) -> Arc<InMemoryBackend> {
        self.handle.shutdown().await;
        self.backend
    }
}

fn text_of(message: &Message) -> Option<String> {
    message
        .conversation
        .clone()
        .or_else(|| message.extended_text_message.as_option().and_then(|extended| extended.text.clone()))
}

/// Pairs a fresh client by scanning its code; returns it connected, with the scan's answer.
pub(crate) async fn paired(simulator: &Simulator, query: &str) -> (Phoneless, Value) {
    let client = Phoneless::start(simulator.local_addr(), seeded(simulator).await).await;
    scanned(simulator, client, query).await
}

/// The same, with a client that reaches the media host.
pub(crate) async fn paired_with_media(simulator: &Simulator, query: &str) -> (Phoneless, Value) {
    let http = crate::https::Https::new(simulator);
    let client = Phoneless::start_with(simulator.local_addr(), seeded(simulator).await, http).await;
    scanned(simulator, client, query).await
}

pub(crate) async fn scanned(simulator: &Simulator, client: Phoneless, query: &str) -> (Phoneless, Value) {
    let code = client
        .wait_for("QR code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await;
    let path = format!("/admin/mock-phone/scan-qr{query}");
    let (status, scanned) = http(simulator, "POST", &path, &code).await;
    assert_eq!(status, 200, "{scanned}");
    client.wait_connected().await;
    (client, scanned)
}

/// Makes a person with these settings; the phone number.
pub(crate) async fn person(simulator: &Simulator, settings: Value) -> String {
    let (status, made) = http(simulator, "POST", "/admin/people", &settings.to_string()).await;
    assert_eq!(status, 200, "{made}");
    made["people"][0]["phone"].as_str().unwrap().to_owned()
}

/// An admin request that has to succeed.
pub(crate) async fn post(simulator: &Simulator, path: &str, body: Value) -> Value {
    let (status, answer) = http(simulator, "POST", path, &body.to_string()).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// One admin request over a connection of its own.
pub(crate) async fn http(simulator: &Simulator, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(simulator.local_addr()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(content).unwrap_or(Value::Null))
}

/// Asks until the answer fits.
pub(crate) async fn eventually<T>(what: &str, simulator: &Simulator, path: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (_, answer) = http(simulator, "GET", path, "").await;
        if let Some(found) = pick(&answer) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come true: {answer}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The error in the server's answer to a message.
pub(crate) fn ack_of(id: String) -> impl Fn(&Event) -> Option<Option<String>> {
    move |event| match event {
        Event::ServerAck(ack) if ack.id == id && ack.class.as_deref() == Some("message") => Some(ack.error.clone()),
        _ => None,
    }
}
