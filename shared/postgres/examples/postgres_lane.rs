//! How fast the lanes are: message lives (accept, claim, sent, delivered, read) of many instances, and inbound ones; over a
//! Postgres of its own that syncs to disk, or the one that `WARREN_BENCH_POSTGRES` names (an empty database).
//! Prints only. `cargo run --release -p warren-postgres --example postgres_lane -- [messages] [instances] [in flight]`

#![expect(clippy::unwrap_used, reason = "an example")]

use sqlx::{Connection, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use warren_domain::{Direction, Network};
use warren_ports::contract::lives::{Figures, Lives, Load, Seen, stat};
use warren_postgres::{CommitObserver, Options, Postgres};
use warren_testkit::services;

struct Observer(Arc<Seen>);

impl CommitObserver for Observer {
    fn committed(&self, items: usize, took: Duration) {
        self.0.committed(items, took);
    }
}

/// What the server has done until now: bytes of its log, and the processor time of all its processes.
async fn server_counts(sql: &mut PgConnection) -> (f64, f64) {
    let row =
        sqlx::query("SELECT (pg_current_wal_lsn() - '0/0')::FLOAT8, pg_backend_pid()").fetch_one(&mut *sql).await.unwrap();
    let (log, pid): (f64, i32) = (row.get(0), row.get(1));
    let postmaster = stat(&pid.to_string()).and_then(|fields| fields.get(1).cloned()).unwrap_or_default();
    let is_ours =
        |process: &str| stat(process).is_some_and(|fields| process == postmaster || fields.get(1) == Some(&postmaster));
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let ticks = |process: String| -> f64 {
        // Of its ended children too.
        let fields = stat(&process).unwrap_or_default();
        fields.iter().skip(11).take(4).flat_map(|field| field.parse::<f64>()).sum()
    };
    let seconds = processes.filter(|process| is_ours(process)).map(ticks).sum::<f64>() / 100.0;
    (log, seconds)
}

fn report(what: &str, figures: &Figures, before: (f64, f64), after: (f64, f64)) {
    let Figures { messages, seconds, cpu, commits, items, micros } = figures;
    println!(
        "{what}: {messages} in {seconds:.2} s = {:.0}/s; CPU each: here {:.0} us, server {:.0} us; {:.0} bytes of log each",
        figures.rate(),
        figures.each(cpu * 1e6),
        figures.each((after.1 - before.1) * 1e6),
        figures.each(after.0 - before.0),
    );
    println!(
        "  {commits} commits of lanes = {:.3} each, {items:.1} items and {micros} us a commit",
        figures.each(*commits as f64),
    );
}

#[tokio::main]
async fn main() {
    let load = Load::asked();
    let (url, _server) = match std::env::var("WARREN_BENCH_POSTGRES") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = services::Postgres::start_durable().await.unwrap();
            (server.url(), Some(server))
        }
    };
    let seen = Arc::new(Seen::default());
    let observer: Arc<dyn CommitObserver> = Arc::new(Observer(Arc::clone(&seen)));
    let options = Options { observer: Some(observer), migrate: true, ..Options::new(&url, Network::Whatsapp) };
    let store = Postgres::open(options).await.unwrap();
    let mut sql = PgConnection::connect(&url).await.unwrap();
    let lives = Lives::over(store.clone(), seen, load).await;
    for (what, direction) in [("outbound", Direction::Outbound), ("inbound", Direction::Inbound)] {
        let before = server_counts(&mut sql).await;
        let figures = lives.measured(direction).await;
        report(what, &figures, before, server_counts(&mut sql).await);
    }
    store.close().await;
}
