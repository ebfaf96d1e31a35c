//! A receiver of webhooks: an HTTP server that answers as a test says, and remembers what came.

use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// How a post is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// With this status.
    Status(u16),
    /// With this status and one header.
    With(u16, &'static str, String),
    /// Not at all, without an end.
    Hang,
    /// With 200 and a body that does not end.
    Endless,
}

/// A post that came.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What it was answered, if it was.
    pub(crate) status: Option<u16>,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id").unwrap()
    }

    /// The instance and the number that a test gave the event.
    pub(crate) fn place(&self) -> (String, i64) {
        let json = self.json();
        (json["instance_id"].as_str().unwrap().to_owned(), json["data"]["number"].as_i64().unwrap())
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

type Behaviour = Arc<dyn Fn(&Post) -> Reply + Send + Sync>;

#[derive(Default)]
struct Seen {
    posts: Vec<Post>,
    now: usize,
    most: usize,
    connections: usize,
}

/// The server.
pub(crate) struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    behaviour: Arc<Mutex<Behaviour>>,
    task: AbortHandle,
}

impl Receiver {
    /// One that answers everything with 204.
    pub(crate) async fn start() -> Self {
        Self::answering(|_| Reply::Status(204)).await
    }

    pub(crate) async fn answering(behaviour: impl Fn(&Post) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), behaviour).await
    }

    pub(crate) async fn at(address: SocketAddr, behaviour: impl Fn(&Post) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Arc::new(behaviour)));
        let task = tokio::spawn(serve(listener, Arc::clone(&seen), Arc::clone(&behaviour))).abort_handle();
        Self { address, seen, behaviour, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers otherwise from now on.
    pub(crate) fn behave(&self, behaviour: impl Fn(&Post) -> Reply + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    /// Everything that came, in the order in which it came.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.seen.lock().unwrap().posts.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().posts.len()
    }

    pub(crate) fn taken(&self) -> Vec<Post> {
        self.posts().into_iter().filter(Post::is_taken).collect()
    }

    /// The numbers that were taken of an instance, in order. One that is taken twice in a row counts once: an answer that comes
    /// too late has its event posted again.
    pub(crate) fn numbers(&self, instance: &str) -> Vec<i64> {
        let places = self.taken().iter().map(Post::place).collect::<Vec<_>>();
        let mut numbers: Vec<i64> = places.into_iter().filter(|(of, _)| of == instance).map(|(_, number)| number).collect();
        numbers.dedup();
        numbers
    }

    /// How many were answered at the same time at most.
    pub(crate) fn most(&self) -> usize {
        self.seen.lock().unwrap().most
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Seen>>, behaviour: Arc<Mutex<Behaviour>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.lock().unwrap().connections += 1;
        stream.set_nodelay(true).unwrap();
        let (seen, behaviour) = (Arc::clone(&seen), Arc::clone(&behaviour));
        let service = service_fn(move |request| answer(request, Arc::clone(&seen), Arc::clone(&behaviour)));
        connections.spawn(async move {
            // A client that goes away is part of some tests.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
    behaviour: Arc<Mutex<Behaviour>>,
) -> hyper::Result<Response<BoxBody<Bytes, Infallible>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut post = Post { headers: parts.headers, body, status: None };
    let behave = Arc::clone(&behaviour.lock().unwrap());
    let reply = behave(&post);
    post.status = match &reply {
        Reply::Status(status) | Reply::With(status, ..) => Some(*status),
        Reply::Endless => Some(200),
        Reply::Hang => None,
    };
    {
        let mut seen = seen.lock().unwrap();
        seen.posts.push(post);
        seen.now += 1;
        seen.most = seen.most.max(seen.now);
    }
    let _here = Here(Arc::clone(&seen));
    let empty = || Full::new(Bytes::new()).boxed();
    Ok(match reply {
        Reply::Status(status) => Response::builder().status(status).body(empty()).unwrap(),
        Reply::With(status, name, value) => Response::builder().status(status).header(name, value).body(empty()).unwrap(),
        Reply::Hang => std::future::pending().await,
        Reply::Endless => {
            let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 64 * 1024])));
            let endless = StreamBody::new(futures::stream::repeat_with(chunk)).boxed();
            Response::builder().header("content-length", 1_000_000_000_u64).body(endless).unwrap()
        }
    })
}

/// Counts as being answered while it lives.
struct Here(Arc<Mutex<Seen>>);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.lock().unwrap().now -= 1;
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
