//! What the tests of this crate share.

use async_nats::Client;
use prometheus::{Registry, TextEncoder};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use warren_domain::{InstanceId, TenantId};
use warren_nats::{Bus, Metrics, Options, connect};
use warren_ports::bus::{Action, Command, Listener, Request, Ring};
use warren_testkit::services::Nats;
use warren_testkit::{PATIENCE, eventually};

/// For what comes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for a refusal to be a refusal, short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
pub(crate) const SECRET: &str = "a secret of the cluster, long enough";

/// A process on the bus.
pub(crate) struct Joined {
    pub(crate) bus: Bus,
    registry: Registry,
}

pub(crate) async fn joined(nats: &Nats, service: &str) -> Joined {
    joined_with(nats, service, |options| options).await
}

pub(crate) async fn joined_with(nats: &Nats, service: &str, change: impl FnOnce(Options) -> Options) -> Joined {
    let options = change(Options::new(&nats.url(), "test", SECRET, service));
    let (metrics, registry) = (Metrics::new().unwrap(), Registry::new());
    metrics.register(&registry).unwrap();
    Joined { bus: connect(&options, metrics).await.unwrap(), registry }
}

impl Joined {
    /// The value of a metric's line that starts so.
    pub(crate) fn metric(&self, start: &str) -> u64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = text.lines().find(|line| line.starts_with(start));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
    }
}

/// Waits until so many frames were refused for a reason.
pub(crate) async fn counted(joined: &Joined, frame: &str, reason: &str, count: u64) {
    let name = format!("warren_bus_refused_total{{frame=\"{frame}\",reason=\"{reason}\"}}");
    eventually(&format!("{count} refused: {frame}, {reason}"), PATIENCE, async || {
        let refused = joined.metric(&name);
        assert!(refused <= count, "{refused} refused: {frame}, {reason}");
        Ok((refused == count).then_some(()))
    })
    .await
    .unwrap();
}

pub(crate) fn command(action: Action) -> Command {
    Command { tenant: TenantId::generate(), instance: InstanceId::generate(), action }
}

pub(crate) async fn received(served: &mut mpsc::Receiver<Request>) -> Request {
    timeout(LIMIT, served.recv()).await.unwrap().unwrap()
}

pub(crate) async fn heard(listener: &mut Box<dyn Listener>) -> Ring {
    timeout(LIMIT, listener.next()).await.unwrap().unwrap()
}

/// Who knows the password of the server and nothing else.
pub(crate) async fn raw(nats: &Nats) -> Client {
    let (user, password) = credentials(nats);
    async_nats::ConnectOptions::with_user_and_password(user, password).connect(nats.address().to_string()).await.unwrap()
}

/// Sends a line of the protocol itself.
pub(crate) async fn raw_line(nats: &Nats, line: &str) {
    let (user, password) = credentials(nats);
    let mut stream = TcpStream::connect(nats.address()).await.unwrap();
    let connect = format!("CONNECT {{\"headers\":true,\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n");
    stream.write_all(format!("{connect}{line}PING\r\n").as_bytes()).await.unwrap();
    let mut said = String::new();
    while !said.contains("PONG") {
        let mut buffer = [0; 1024];
        let read = timeout(LIMIT, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(buffer.get(..read).unwrap()));
        assert!(!said.contains("-ERR"), "{said}");
    }
}

fn credentials(nats: &Nats) -> (String, String) {
    let url = nats.url();
    let (user, _) = url.strip_prefix("nats://").unwrap().split_once('@').unwrap();
    let (user, password) = user.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}
