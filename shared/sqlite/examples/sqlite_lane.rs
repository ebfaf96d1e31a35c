//! How fast the lane is: message lives (accept, claim, sent, delivered, read) of many instances, and inbound ones.
//! Prints only. `cargo run --release -p warren-sqlite --example sqlite_lane -- [messages] [instances] [in flight]`

#![expect(clippy::unwrap_used, reason = "an example")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_domain::{Direction, Network};
use warren_ports::contract::lives::{Figures, Lives, Load, Seen};
use warren_sqlite::{CommitObserver, Options, Sqlite};

struct Observer(Arc<Seen>);

impl CommitObserver for Observer {
    fn committed(&self, items: usize, took: Duration) {
        self.0.committed(items, took);
    }
}

fn report(what: &str, figures: &Figures) {
    let Figures { messages, seconds, cpu, commits, items, micros } = figures;
    println!(
        "{what}: {messages} in {seconds:.2} s = {:.0}/s, process CPU {cpu:.2} s = {:.0} us each; {commits} commits, {items:.1} items and {micros} us each",
        figures.rate(),
        figures.each(cpu * 1e6),
    );
}

#[tokio::main]
async fn main() {
    let load = Load::asked();
    let dir = std::env::temp_dir().join(format!("warren-lane-{}", std::process::id()));
    let seen = Arc::new(Seen::default());
    let observer: Arc<dyn CommitObserver> = Arc::new(Observer(Arc::clone(&seen)));
    let store = Sqlite::open(Options { observer: Some(observer), ..Options::new(&dir, Network::Whatsapp) }).await.unwrap();
    let lives = Lives::over(store.clone(), seen, load).await;
    for (what, direction) in [("outbound", Direction::Outbound), ("inbound", Direction::Inbound)] {
        report(what, &lives.measured(direction).await);
    }
    let began = Instant::now();
    store.close().await;
    println!("closed in {:.2} s", began.elapsed().as_secs_f64());
    std::fs::remove_dir_all(&dir).unwrap();
}
