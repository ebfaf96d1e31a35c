//! A gateway to test, and a client to test it with.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use warren_domain::{Network, Timestamp, media::MediaLimits, time::Clock};
use warren_egress::{Guard, Policy};
use warren_gateway::{AdminKey, LinkKey, Options, Ports, SeedSettings};
use warren_objects::ObjectStorage;
use warren_runtime::{Health, Lifecycle, Metrics};
use warren_sqlite::Sqlite;

/// Everything is waited for so long, and no longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Small enough to be reached.
pub(crate) const LIMITS: MediaLimits = MediaLimits {
    retention_s: 24 * 3_600,
    max_image_bytes: 2 * 1024 * 1024,
    max_video_bytes: 4 * 1024 * 1024,
    max_audio_bytes: 2 * 1024 * 1024,
    max_document_bytes: 4 * 1024 * 1024,
    max_sticker_bytes: 1024 * 1024,
    max_pixels: 50_000_000,
    storage_bytes: 12 * 1024 * 1024,
};

/// A clock that can be turned.
#[derive(Debug, Default)]
pub(crate) struct TurnedClock {
    ahead_ms: AtomicI64,
}

impl TurnedClock {
    pub(crate) fn turn(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        let ahead = Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed).unsigned_abs());
        warren_domain::time::SystemClock.now().after(ahead)
    }
}

/// A store, a bus, and a gateway over them.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Sqlite,
    pub(crate) bus: warren_memory::Bus,
    limiter: warren_memory::Limiter,
    pub(crate) objects: ObjectStorage,
    pub(crate) clock: Arc<TurnedClock>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: Metrics,
    pub(crate) admin: String,
    pub(crate) store: Arc<tempfile::TempDir>,
}

/// A tenant with a key.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The answer is a problem of this status and code, in full form.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code, "{self:?}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:warren:problem:{code}"));
        assert_eq!(body["request_id"], self.header("x-request-id").unwrap());
        assert!(body["title"].is_string() && body["detail"].is_string());
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::reaching(options, Policy::default()).await
    }

    /// A gateway that may call other addresses than the internet's.
    pub(crate) async fn reaching(options: Options, policy: Policy) -> Self {
        let store = Arc::new(tempfile::tempdir().unwrap());
        let network = Network::Simulator { static_key: [1; 32] };
        let ledger = Sqlite::open(warren_sqlite::Options::new(store.path(), network)).await.unwrap();
        let admin = AdminKey::generate().1;
        let between = (warren_memory::Bus::new(), warren_memory::Limiter::new());
        Self::over(options, policy, store, ledger, between, Arc::default(), admin, None).await
    }

    /// A second gateway over the same store, bus and rates.
    pub(crate) async fn beside(&self, options: Options) -> Self {
        let (ledger, between, clock) =
            (self.ledger.clone(), (self.bus.clone(), self.limiter.clone()), Arc::clone(&self.clock));
        let (policy, store) = (Policy::default(), Arc::clone(&self.store));
        Self::over(options, policy, store, ledger, between, clock, self.admin.clone(), None).await
    }

    /// The same with the seed's surface.
    pub(crate) async fn beside_with_seed(&self, seed: SeedSettings) -> Self {
        let (ledger, between, clock) =
            (self.ledger.clone(), (self.bus.clone(), self.limiter.clone()), Arc::clone(&self.clock));
        let (policy, store, admin) = (Policy::default(), Arc::clone(&self.store), self.admin.clone());
        Self::over(Options::default(), policy, store, ledger, between, clock, admin, Some(seed)).await
    }

    #[expect(clippy::too_many_arguments, reason = "what two gateways may share, one by one")]
    async fn over(
        options: Options,
        policy: Policy,
        store: Arc<tempfile::TempDir>,
        ledger: Sqlite,
        (bus, limiter): (warren_memory::Bus, warren_memory::Limiter),
        clock: Arc<TurnedClock>,
        admin: String,
        seed: Option<SeedSettings>,
    ) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lifecycle, metrics, health) = (Lifecycle::new(), Metrics::new(), Health::new());
        health.check("store").set(true);
        let objects = ObjectStorage::folder(&store.path().join("media")).await.unwrap();
        let ports = Ports {
            ledger: Arc::new(ledger.clone()),
            bus: Arc::new(bus.clone()),
            limiter: Arc::new(limiter.clone()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: metrics.clone(),
            admin_key: Some(AdminKey::new(&admin).unwrap()),
            health,
            objects: Arc::new(objects.clone()),
            limits: LIMITS,
            egress: Guard::new(policy).unwrap(),
            link_key: LinkKey::new([1; 32]),
            seed,
        };
        let life = lifecycle.clone();
        lifecycle.spawn_essential("gateway", async move {
            warren_gateway::run(listener, options, ports, life).await.unwrap();
        });
        Self { address, ledger, bus, limiter, objects, clock, lifecycle, metrics, admin, store }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One request on a connection of its own. A refusal that closes the connection while a large body is still being written
    /// may be lost on its way: then the request is sent again, a few times.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        /// What the systems at both ends take before anybody reads.
        const BUFFERED: u64 = 64 * 1024;
        let is_large = request.body().size_hint().lower() > BUFFERED;
        for _ in 0..if is_large { 9 } else { 0 } {
            if let Ok(answer) = self.try_send(request.clone()).await {
                return answer;
            }
        }
        self.try_send(request).await.unwrap()
    }

    async fn try_send(&self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let answered = tokio::time::timeout(PATIENCE, async {
            let (parts, body) = client.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        });
        let answer = answered.await.unwrap();
        connection.abort();
        answer
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = body.into();
        let mut request =
            Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path).header(HOST, "warren");
        if !key.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body)).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, key, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call("POST", path, key, &[], body.to_string()).await
    }

    pub(crate) async fn post_once(&self, path: &str, key: &str, once: &str, body: Value) -> Answer {
        self.call("POST", path, key, &[("idempotency-key", once)], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call("PATCH", path, key, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, key: &str) -> Answer {
        self.call("DELETE", path, key, &[], "").await
    }

    /// A new tenant with a key that may do everything.
    pub(crate) async fn tenant(&self) -> Tenant {
        let id =
            self.post("/v1/tenants", &self.admin, json!({"name": "Acme"})).await.is(201)["id"].as_str().unwrap().to_owned();
        let key = self.key(&id, json!({"name": "all"})).await;
        Tenant { id, key }
    }

    /// A further key of a tenant.
    pub(crate) async fn key(&self, tenant: &str, body: Value) -> String {
        let made = self.post(&format!("/v1/tenants/{tenant}/keys"), &self.admin, body).await.is(201);
        made["key"].as_str().unwrap().to_owned()
    }

    /// A new instance, not paired.
    pub(crate) async fn instance(&self, tenant: &Tenant) -> String {
        self.post("/v1/instances", &tenant.key, json!({})).await.is(201)["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.lifecycle.begin_stop();
    }
}

/// Waits until something holds.
pub(crate) async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = holds().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
