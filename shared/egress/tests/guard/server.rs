//! A server that answers bytes as a test says, broken ones too, and counts who came.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// How a connection goes on after the request has arrived.
pub(crate) enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// The first bytes once, the second ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, and then one more at each tick.
    Trickle(Vec<u8>, Duration),
    /// These bytes, and then nothing, without an end.
    Silence(Vec<u8>),
    /// An empty `200`, and then the next request.
    Keep,
}

pub(crate) fn ok(body: &str) -> Reply {
    Reply::Bytes(
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into(),
    )
}

pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
    Reply::Bytes(bytes.into())
}

pub(crate) fn redirect(location: &str) -> Reply {
    raw(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
}

pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Bytes that endless replies got rid of.
    written: Arc<AtomicUsize>,
    task: AbortHandle,
}

/// What the counting itself sends: it is answered by its own, and nothing of it is recorded.
const PROBE: &str = "PROBE\r\n\r\n";

impl Server {
    /// `address` with port 0: any free one. `reply` gets the request as it came.
    pub(crate) async fn at(address: &str, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let written = Arc::<AtomicUsize>::default();
        let (counter, log, endless, reply) =
            (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&written), Arc::new(reply));
        let task = tokio::spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let (log, endless, reply) = (Arc::clone(&log), Arc::clone(&endless), Arc::clone(&reply));
                serving.spawn(async move {
                    // A client that goes away is part of most tests.
                    let _ = serve(stream, &log, &endless, &*reply).await;
                });
            }
        });
        Ok(Self { address, connections, requests, written, task: task.abort_handle() })
    }

    pub(crate) async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", reply).await.unwrap()
    }

    /// Two servers with one port: at 127.0.0.1, which the tests allow, and at 127.0.0.2, which stands for a private one.
    pub(crate) async fn pair(
        allowed: impl Fn(&str, u16) -> Reply + Clone + Send + Sync + 'static,
        private: impl Fn(&str) -> Reply + Clone + Send + Sync + 'static,
    ) -> (Self, Self) {
        for _ in 0..100 {
            let inner = Self::at("127.0.0.2:0", private.clone()).await.unwrap();
            let port = inner.address.port();
            let allowed = allowed.clone();
            if let Ok(outer) = Self::at(&format!("127.0.0.1:{port}"), move |request: &str| allowed(request, port)).await {
                return (outer, inner);
            }
        }
        panic!("no port is free at both addresses");
    }

    /// The same pair, of servers that answer `200` and keep their connections.
    pub(crate) async fn pair_keeping() -> (Self, Self) {
        Self::pair(|_, _| Reply::Keep, |_| Reply::Keep).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path at a name.
    pub(crate) fn url(&self, name: &str, path: &str) -> String {
        format!("http://{name}:{}{path}", self.port())
    }

    /// How many connections arrived. Connections are accepted in their order: once a later one is served, all earlier ones
    /// are counted.
    pub(crate) async fn connections(&self) -> usize {
        let address =
            if self.address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], self.port())) } else { self.address };
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(PROBE.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"counted");
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }

    /// How many bytes an endless reply got rid of: read by the client, or waiting in the system's buffers.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// The requests that arrived.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    written: &AtomicUsize,
    reply: &(dyn Fn(&str) -> Reply + Send + Sync),
) -> io::Result<()> {
    loop {
        if !answer(&mut stream, log, written, reply).await? {
            return Ok(());
        }
    }
}

/// One request; whether another may follow.
async fn answer(
    stream: &mut TcpStream,
    log: &Mutex<Vec<String>>,
    written: &AtomicUsize,
    reply: &(dyn Fn(&str) -> Reply + Send + Sync),
) -> io::Result<bool> {
    let mut request = head(stream).await?;
    if request == PROBE {
        stream.write_all(b"counted").await?;
        return Ok(false);
    }
    let length = header(&request, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.push_str(&String::from_utf8(body).unwrap());
    log.lock().unwrap().push(request.clone());
    match reply(&request) {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
        }
        Reply::Endless(first, again) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&again).await?;
                written.fetch_add(again.len(), Ordering::SeqCst);
            }
        }
        Reply::Trickle(first, tick) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(tick).await;
            }
        }
        Reply::Silence(first) => {
            stream.write_all(&first).await?;
            // Until the client is gone.
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Reply::Keep => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The value of a header of a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
