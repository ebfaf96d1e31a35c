//! Fault 6: a worker stops inside the transaction that its epoch fences: while its lane holds the owner rows.

use super::worker_killed::kill;
use super::worker_paused::{pause, resume};
use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;
use warren_testkit::cluster::Role;
use warren_testkit::eventually;

const fn case(name: &'static str, inject: for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>) -> Case {
    let needs = Needs {
        // A take that comes while the transaction is open, which ends after 2 s at the latest.
        environment: &[
            ("WARREN_WORKER__LEASE_TTL_MS", "1000"),
            ("WARREN_WORKER__LEASE_RENEWAL_MS", "250"),
            ("WARREN_COORDINATOR__LEASE_TTL_MS", "1000"),
            ("WARREN_COORDINATOR__LEASE_RENEWAL_MS", "250"),
        ],
        ..Needs::USUAL
    };
    let bounds = Bounds { no_failed_calls: true, ..Bounds::NONE };
    Case { fault: 6, name, repetitions: 5, needs, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("paused inside", |trial| paused_inside(trial).boxed_local()),
    case("killed inside", |trial| killed_inside(trial).boxed_local()),
];

/// How long a take may wait for the transaction, of full runs, seconds.
const TAKEN: f64 = 2.5;

/// Every statement that writes events takes a second more while the switch is on.
const SLOW: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS swarm_switch (is_on BOOLEAN NOT NULL)",
    "INSERT INTO swarm_switch SELECT FALSE WHERE NOT EXISTS (SELECT FROM swarm_switch)",
    "CREATE OR REPLACE FUNCTION swarm_slow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
     BEGIN IF (SELECT is_on FROM swarm_switch) THEN PERFORM pg_sleep(1); END IF; RETURN NULL; END $$",
    "DROP TRIGGER IF EXISTS swarm_slow ON events",
    "CREATE TRIGGER swarm_slow AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION swarm_slow()",
];
/// The clients' ports of transactions that are in that second.
const INSIDE: &str =
    "SELECT client_port FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";

/// A worker whose lane is inside a transaction now.
async fn inside(trial: &mut Trial<'_>) -> Result<usize> {
    let ledger = &trial.scene.cluster.servers.ledger;
    ledger.execute(SLOW).await?;
    ledger.execute(&["UPDATE swarm_switch SET is_on = TRUE"]).await?;
    let mut workers = Vec::new();
    for (place, worker) in trial.scene.cluster.nodes(Role::Worker).iter().enumerate() {
        workers.push((place, worker.process_id()?));
    }
    eventually("a worker inside a transaction", trial.scene.scale.patience, async || {
        let ports = ledger.execute(&[INSIDE]).await?;
        let ports: Vec<u16> = ports.lines().filter_map(|port| port.parse().ok()).collect();
        Ok(workers.iter().find(|(_, process)| ports.iter().any(|port| has_port(*process, *port))).map(|(place, _)| *place))
    })
    .await
}

/// Whether a connection from this port is the process's.
fn has_port(process: u32, port: u16) -> bool {
    let Ok(table) = std::fs::read_to_string(format!("/proc/{process}/net/tcp")) else { return false };
    let local = format!(":{port:04X}");
    let inodes = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(1).filter(|address| address.ends_with(&local)).and(fields.get(9)).map(|inode| format!("socket:[{inode}]"))
    });
    let inodes: Vec<_> = inodes.collect();
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let is_one = |link: &Path| inodes.iter().any(|inode| link.as_os_str() == inode.as_str());
    files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).any(|link| is_one(&link))
}

async fn quick_again(trial: &Trial<'_>) -> Result<()> {
    trial.scene.cluster.servers.ledger.execute(&["UPDATE swarm_switch SET is_on = FALSE"]).await.map(drop)
}

async fn paused_inside(trial: &mut Trial<'_>) -> Result<()> {
    let worker = inside(trial).await?;
    let hit = trial.scene.instances_of(worker).await?;
    trial.may_replace(2 * hit);
    trial.strike_now(hit).await?;
    pause(trial, worker)?;
    quick_again(trial).await?;
    trial.scene.others_own(worker).await?;
    let taken = super::seconds_since(trial.struck()?);
    trial.measure("taken_over_s", taken);
    if trial.scene.is_full() && taken > TAKEN {
        trial.wrong(format!("the shards were taken after {taken:.2} s"));
    }
    sleep(Duration::from_secs(1)).await;
    resume(trial, worker)
}

async fn killed_inside(trial: &mut Trial<'_>) -> Result<()> {
    let worker = inside(trial).await?;
    let hit = trial.scene.instances_of(worker).await?;
    trial.strike_now(hit).await?;
    kill(trial, worker).await?;
    quick_again(trial).await
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn finds_the_process_of_a_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = stream.local_addr().unwrap().port();
        assert!(has_port(std::process::id(), port));
        assert!(!has_port(1, port));
    }
}
