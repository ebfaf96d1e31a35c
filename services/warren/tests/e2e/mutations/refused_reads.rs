//! The store refuses to read sessions while texts are decrypted. To the library that is the end of a text: it tells the server
//! that it cannot be read, and the server forgets it.

use super::{LOST, reported};
use crate::faults::restart_faulty;
use crate::store::database;
use crate::traffic::Traffic;
use warren_swarm::Invariant;
use warren_testkit::{Options, PATIENCE, Stage, eventually};

/// How often it is tried to have a read refused: where writes are too, one that follows the login may come first.
const TRIES: usize = 10;

/// What is logged of a read of the session that was refused.
const READ_REFUSED: &str = "session state cannot be read";
/// The same of a write.
const WRITE_REFUSED: &str = "the ledger refused a write";

/// A change of the rights of whoever writes sessions in Postgres; `%1$I` is their role.
fn rights(change: &str) -> String {
    format!(
        "DO $$ DECLARE who NAME; BEGIN
             FOR who IN SELECT DISTINCT grantee::NAME FROM information_schema.role_table_grants
                 WHERE table_name = 'session_records' AND privilege_type = 'INSERT' AND grantee <> current_user LOOP
                 EXECUTE format('{change}', who);
             END LOOP;
         END $$"
    )
}

/// Changes what Postgres lets a worker do, or what there is in SQLite.
async fn change(stage: &Stage, rights: &str, table: &str) {
    match stage.warren.cluster() {
        Some(cluster) => drop(cluster.servers.ledger.execute(&[&self::rights(rights)]).await.unwrap()),
        None => database(stage.warren.folder()).execute_batch(table).unwrap(),
    }
}

/// From now on no session can be read. SQLite, which knows no rights, has none to be written either.
async fn refuse(stage: &Stage) {
    let rights = "REVOKE SELECT ON session_records FROM %1$I;
        GRANT SELECT (ctid, instance_id, kind, key, tenant_id, mark) ON session_records TO %1$I";
    change(stage, rights, "ALTER TABLE session_records RENAME TO hidden_records").await;
}

/// They can be again.
async fn allow(stage: &Stage) {
    let rights = "GRANT SELECT ON session_records TO %1$I";
    change(stage, rights, "ALTER TABLE hidden_records RENAME TO session_records").await;
}

/// Starts again, so that no session is in memory, and everybody writes a text while none can be read: until the connection
/// has ended, or the server has forgotten all that it had for it.
async fn refuse_texts(stage: &mut Stage, traffic: &Traffic, change: impl FnOnce(Options) -> Options) {
    restart_faulty(stage, traffic, change).await;
    refuse(stage).await;
    traffic.write_all(stage, 1).await;
    let (simulator, phone) = (&stage.simulator, &traffic.instance.phone);
    eventually("the refusal has a consequence", PATIENCE, async || {
        let is_forgotten = simulator.ground_truth(phone).await?.emitted.iter().all(|emitted| emitted.acked);
        Ok((is_forgotten || !simulator.is_connected(phone).await?).then_some(()))
    })
    .await
    .unwrap();
    allow(stage).await;
}

/// Whether what was refused first was a read: what follows is no more than a client that cannot be built again yet.
fn was_a_read(stage: &Stage) -> bool {
    let log = stage.warren.log();
    let mut refused = log.iter().filter(|line| line.contains(READ_REFUSED) || line.contains(WRITE_REFUSED));
    refused.next().is_some_and(|first| first.contains(READ_REFUSED))
}

/// The client is given up before it hears of the refusal; the next one has every text, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_refused_during_decrypt_loses_nothing() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 4).await;
    for _ in 0..TRIES {
        refuse_texts(&mut stage, &traffic, |options| options).await;
        assert!(traffic.settle(&stage).await, "not every text arrived");
        if was_a_read(&stage) {
            break;
        }
    }
    assert!(was_a_read(&stage), "no read was refused");
    traffic.probe(&stage).await;
    assert_eq!(reported(&stage, &traffic).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_errors_at_once_is_caught() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 2).await;
    // Somebody known: nothing of his has to be written before his text is decrypted.
    traffic.people.truncate(1);
    traffic.patience = LOST;
    for _ in 0..TRIES {
        refuse_texts(&mut stage, &traffic, |options| options.mutation("read_errors_at_once")).await;
        if !traffic.settle(&stage).await {
            break;
        }
    }
    assert!(reported(&stage, &traffic).await.contains(&Invariant::I4));
}
