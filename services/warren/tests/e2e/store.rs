//! The store away for a while.

use crate::traffic::Traffic;
use crate::{history, stage};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};
use warren_swarm::Report;
use warren_testkit::{Stage, eventually};

/// How long somebody else holds the database.
const LOCKED: Duration = Duration::from_secs(3);

/// The database of a Warren, opened from outside.
pub(crate) fn database(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("data/warren.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
}

/// Holds the write lock until [`Lock::release`].
pub(crate) struct Lock {
    connection: Connection,
    since: Instant,
}

impl Lock {
    pub(crate) fn take(folder: &Path) -> Self {
        let connection = database(folder);
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { connection, since: Instant::now() }
    }

    /// Gives it back when it was held for this long.
    pub(crate) async fn release_after(self, held: Duration) {
        // This is the fault and not a synchronisation: the lock lasts so long.
        tokio::time::sleep_until((self.since + held).into()).await;
        self.connection.execute_batch("ROLLBACK").unwrap();
    }
}

/// Locks the store while people write who are known and who are not; waits until it settled.
pub(crate) async fn messages_while_locked(stage: &Stage, traffic: &Traffic) -> bool {
    let lock = Lock::take(stage.warren.folder());
    let release = tokio::spawn(lock.release_after(LOCKED));
    traffic.write_all(stage, 3).await;
    let degraded = eventually("degraded: store", LOCKED, async || {
        let health = stage.api.instance(&traffic.instance.id).await?.health;
        Ok((health["status"] == "degraded" && health["reason"] == "store").then_some(()))
    });
    let was_degraded = degraded.await.is_ok();
    release.await.unwrap();
    traffic.settle(stage).await;
    was_degraded
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_for_three_seconds_loses_no_message_of_known_and_new_contacts() {
    let stage = stage().await;
    let mut traffic = Traffic::begin(&stage, 4).await;
    let was_degraded = messages_while_locked(&stage, &traffic).await;
    traffic.probe(&stage).await;
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.logged, 2 + 4 * 3 + 4);
    assert!(was_degraded, "health said nothing of the store meanwhile");
    stage.state(&traffic.instance.id, "online").await.unwrap();
    eventually("healthy again", Duration::from_secs(30), async || {
        Ok((stage.api.instance(&traffic.instance.id).await?.health["status"] == "ok").then_some(()))
    })
    .await
    .unwrap();
}
