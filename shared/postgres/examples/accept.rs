//! How fast messages are accepted: callers that come at a rate, whatever the answers take, and callers that each wait for their
//! answer. For each: how long a caller waited, commits and bytes of write-ahead log a message; over a Postgres of its own that
//! syncs to disk, or the one that `WARREN_BENCH_POSTGRES` names (an empty database).
//! With `gateway` behind the seconds, under the gateway's role and not as the owner.
//! Prints only. `cargo run --release -p warren-postgres --example accept -- [seconds each] [gateway]`

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "an example")]

use serde_json::Map;
use sqlx::{Connection, PgConnection, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use warren_domain::message::{Content, Text};
use warren_domain::time::{Clock as _, SystemClock};
use warren_domain::{Delivery, InstanceId, MessageId, Network, TenantId};
use warren_ports::contract;
use warren_ports::ledger::{Accepted, IdempotencyKey, Instances, Messages, NewMessage, Tenants};
use warren_postgres::{Options, Postgres, Service};
use warren_testkit::services;

const INSTANCES: usize = 1_000;

struct Bench {
    store: Postgres,
    tenant: TenantId,
    instances: Vec<InstanceId>,
    number: AtomicUsize,
    keyed: bool,
}

impl Bench {
    /// Accepts one message of the next instance; how long it took.
    async fn accept(&self) -> Duration {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let idempotency =
            self.keyed.then(|| IdempotencyKey { key: MessageId::generate().to_string(), fingerprint: [1; 32] });
        let message = NewMessage {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instances[number * 7 % self.instances.len()],
            whatsapp_id: format!("3EB0{number:018X}"),
            secret: [3; 32],
            chat: format!("1555{number:07}@s.whatsapp.net"),
            content: Content::Text {
                text: Text { body: "Your order has left the house and arrives tomorrow.".to_owned(), ..Text::default() },
            },
            media: None,
            quoted: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            created_at: SystemClock.now(),
            idempotency,
            part: None,
            queue_limit: 1_000_000,
        };
        let began = Instant::now();
        assert!(matches!(self.store.accept(vec![message]).await.unwrap().as_slice(), [Accepted::New(_)]));
        began.elapsed()
    }

    /// Callers that come at a rate.
    async fn at_a_rate(self: &Arc<Self>, rate: u32, span: Duration) -> Vec<Duration> {
        let (began, mut calls, mut made) = (Instant::now(), Vec::new(), 0_u32);
        while began.elapsed() < span {
            let due = began.elapsed().as_secs_f64() * f64::from(rate);
            while f64::from(made) < due {
                let bench = Arc::clone(self);
                calls.push(tokio::spawn(async move { bench.accept().await }));
                made += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect()
    }

    /// Callers that each wait for their answer.
    async fn in_turn(self: &Arc<Self>, callers: usize, span: Duration) -> Vec<Duration> {
        let began = Instant::now();
        let calls = (0..callers).map(|_| {
            let bench = Arc::clone(self);
            tokio::spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < span {
                    took.push(bench.accept().await);
                }
                took
            })
        });
        futures::future::join_all(calls.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

/// What a commit costs by itself: one row into one table, on the same server in the same minute.
async fn raw_commits(conn: &mut PgConnection, span: Duration) {
    sqlx::query("CREATE TABLE IF NOT EXISTS raw (id BIGINT, data TEXT)").execute(&mut *conn).await.unwrap();
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < span {
        let one = Instant::now();
        sqlx::query("INSERT INTO raw VALUES (1, repeat('x', 500))").execute(&mut *conn).await.unwrap();
        took.push(one.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!(
        "{:>22}: {:7.0}/s, p50 {:6.2} ms, p99 {:6.2} ms",
        "one raw commit",
        took.len() as f64 / span.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
}

async fn facts(conn: &mut PgConnection) -> (i64, i64) {
    let row = sqlx::query(
        "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::BIGINT, (SELECT count(DISTINCT xmin::text) FROM messages)::BIGINT",
    )
    .fetch_one(conn)
    .await
    .unwrap();
    (row.get(0), row.get(1))
}

fn report(name: &str, mut took: Vec<Duration>, span: Duration, before: (i64, i64), after: (i64, i64)) {
    took.sort_unstable();
    let count = took.len();
    let at = |share: f64| took[((count as f64 * share) as usize).min(count - 1)].as_secs_f64() * 1_000.0;
    println!(
        "{name:>22}: {:7.0}/s, p50 {:6.2} ms, p99 {:6.2} ms, most {:6.2} ms; {:.3} commits, {:5.0} bytes of log a message",
        count as f64 / span.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        (after.1 - before.1) as f64 / count as f64,
        (after.0 - before.0) as f64 / count as f64,
    );
}

async fn prepared(url: &str, service: Option<Service>, keyed: bool) -> Arc<Bench> {
    let options = || Options::new(url, Network::Whatsapp);
    Postgres::open(Options { migrate: true, roles: service.is_some(), ..options() }).await.unwrap().close().await;
    let store = Postgres::open(Options { service, ..options() }).await.unwrap();
    let tenant = contract::ledger::tenant();
    store.create_tenant(&tenant).await.unwrap();
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        let instance = contract::ledger::instance(tenant.id);
        store.create_instance(&instance, u32::MAX).await.unwrap();
        instances.push(instance.id);
    }
    Arc::new(Bench { store, tenant: tenant.id, instances, number: AtomicUsize::new(0), keyed })
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(5, |seconds| seconds.parse().unwrap());
    let span = Duration::from_secs(seconds);
    let service = std::env::args().nth(2).map(|name| {
        assert_eq!(name, "gateway");
        Service::Gateway
    });
    let named = std::env::var("WARREN_BENCH_POSTGRES").ok();
    let server = if named.is_none() { Some(services::Postgres::start_durable().await.unwrap()) } else { None };
    let url = named.or_else(|| server.as_ref().map(services::Postgres::url)).unwrap();
    let mut conn = PgConnection::connect(&url).await.unwrap();
    for keyed in [false, true] {
        let bench = prepared(&url, service, keyed).await;
        println!("{} an idempotency key", if keyed { "with" } else { "without" });
        bench.in_turn(8, Duration::from_secs(1)).await;
        raw_commits(&mut conn, span).await;
        for rate in [100, 375, 500, 1_000, 2_000, 4_000] {
            let before = facts(&mut conn).await;
            let took = bench.at_a_rate(rate, span).await;
            report(&format!("{rate}/s asked for"), took, span, before, facts(&mut conn).await);
        }
        for callers in [1, 2, 4, 8, 32, 128] {
            let before = facts(&mut conn).await;
            let took = bench.in_turn(callers, span).await;
            report(&format!("{callers} in turn"), took, span, before, facts(&mut conn).await);
        }
    }
}
