//! The guard against real servers on loopback: what it must refuse reaches none of them.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bodies;
mod connections;
mod names;
mod posts;
mod redirects;
mod resolution;
mod server;
mod shapes;
mod tls;

use crate::names::Names;
use futures::TryStreamExt as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use warren_egress::{FetchError, Fetched, Guard, Limits, Policy};

/// Allows plain HTTP to `127.0.0.1` alone, at one port; everything else on loopback stands for what is private.
fn policy(server: SocketAddr) -> Policy {
    Policy {
        plain_http: true,
        ports: vec![server.port()],
        networks: vec!["127.0.0.1/32".parse().unwrap()],
        connect_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(20),
        ..Policy::default()
    }
}

fn guard(policy: Policy, names: &Arc<Names>) -> Guard {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Guard::with_resolver(policy, Arc::<Names>::clone(names)).unwrap()
}

fn within(total: Duration) -> Limits {
    Limits { total, ..Limits::default() }
}

fn at_most(bytes: u64) -> Limits {
    Limits { bytes, ..Limits::default() }
}

/// Reads to the end: what arrived, and how it ended.
async fn read(fetched: Fetched) -> (Vec<u8>, Result<(), FetchError>) {
    let reading = read_to_end(fetched);
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("a body ends by its deadline")
}

async fn read_to_end(mut fetched: Fetched) -> (Vec<u8>, Result<(), FetchError>) {
    let mut read = Vec::new();
    loop {
        match fetched.body.try_next().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => return (read, Ok(())),
            Err(error) => {
                assert_eq!(fetched.body.try_next().await, Ok(None), "nothing comes after an error");
                return (read, Err(error));
            }
        }
    }
}

/// A handler of requests awaits these on any thread, and gives the body on.
#[tokio::test]
async fn requests_and_bodies_go_from_thread_to_thread() {
    fn goes<T: Send>(_: &T) {}
    fn stays<T: Send + Unpin + 'static>() {}
    let guard = guard(Policy::default(), &Names::none());
    goes(&guard.fetch("", Limits::default()));
    goes(&guard.post("", &[("a", "b")], bytes::Bytes::new(), Limits::default()));
    stays::<Fetched>();
    stays::<Guard>();
}
