//! What SQLite itself must stand: locks, kills, and opening what is not its own.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod world;

use rusqlite::Connection;
use std::io::{BufRead, BufReader, Write as _};
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use warren_domain::{
    Delivery, ErrorKind, MessageId, MessageStatus, Network, ShardCount, Tenant, TenantId, Timestamp,
    group::Member,
    message::Content,
    tenant::Limits,
    time::{Clock as _, SystemClock},
};
use warren_ports::ledger::{
    Committer, Maintenance, Messages, NewMessage, Op, Outcome, ReceiptTarget, Record, RecordKind, Retention, Sessions,
    Tenants,
};
use warren_sqlite::{OpenError, Options, Sqlite};
use world::{World, put};

const SIMULATOR: Network = Network::Simulator { static_key: [7; 32] };

fn options(dir: &std::path::Path) -> Options {
    Options::new(dir, Network::Whatsapp)
}

async fn open(dir: &std::path::Path) -> Sqlite {
    Sqlite::open(options(dir)).await.unwrap()
}

/// Holds the write lock from another connection, as another program would.
fn lock(dir: &std::path::Path) -> Connection {
    let conn = Connection::open(dir.join("warren.db")).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_three_seconds_is_waited_out_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    let locked = Instant::now();
    let other = lock(dir.path());
    let mut waiting = Vec::new();
    for round in 0..20_u8 {
        let (store, write) = (store.clone(), world.write(put(b"k", &[round])));
        let mut commit = Box::pin(async move { store.commit(vec![write]).await });
        // The first poll enters the lane; the task only waits.
        assert!(futures::poll!(&mut commit).is_pending());
        waiting.push(tokio::spawn(commit));
    }
    // Reads go on meanwhile.
    assert!(store.tenant(world.tenant).await.unwrap().is_some());
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.waiting_ms() < 3_000 {
        assert!(Instant::now() < deadline, "the lane does not say that it waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(waiting.iter().all(|commit| !commit.is_finished()));
    other.execute_batch("ROLLBACK").unwrap();
    for commit in waiting {
        assert!(matches!(commit.await.unwrap()[..], [Outcome::Done]));
    }
    assert!(locked.elapsed() >= Duration::from_secs(3));
    let stored = store.records(world.instance, RecordKind::Identity, &[b"k".to_vec()]).await.unwrap();
    assert_eq!(stored[0].value, [19]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_is_told_after_ten_seconds_and_nothing_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    let other = lock(dir.path());
    let tenant = Tenant {
        id: TenantId::generate(),
        name: "T".to_owned(),
        limits: Limits::default(),
        created_at: Timestamp::default(),
    };
    let began = Instant::now();
    let (edge, hot) = tokio::join!(store.create_tenant(&tenant), async {
        let hot = tokio::spawn({
            let (store, write) = (store.clone(), world.write(put(b"k", b"v")));
            async move { store.commit(vec![write]).await }
        });
        tokio::time::timeout(Duration::from_secs(20), async {
            while store.waiting_ms() < 10_500 {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
        })
        .await
        .unwrap();
        other.execute_batch("ROLLBACK").unwrap();
        hot.await.unwrap()
    });
    assert_eq!(edge.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(began.elapsed() >= Duration::from_secs(10));
    assert!(matches!(hot[..], [Outcome::Done]));
    assert_eq!(store.tenant(tenant.id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_every_handle_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    assert!(matches!(store.commit(vec![world.write(put(b"k", b"v"))]).await[..], [Outcome::Done]));
    drop(store);
    let store = open(dir.path()).await;
    let stored = store.records(world.instance, RecordKind::Identity, &[b"k".to_vec()]).await.unwrap();
    assert_eq!(stored.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    store.close().await;
    store.close().await;
    assert!(
        matches!(&store.commit(vec![world.write(Op::Barrier)]).await[..], [Outcome::Refused(error)] if error.kind == ErrorKind::Unavailable)
    );
    assert_eq!(store.tenant(world.tenant).await.unwrap_err().kind, ErrorKind::Unavailable);
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name(), file.metadata().unwrap().len()))
        .collect();
    assert_eq!(files.len(), 1, "the log was moved into the file: {files:?}");
}

const CHILD: &str = "WARREN_SQLITE_TEST_CHILD";

/// Not a test by itself: the process that the next test kills. It says which writes were answered.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(std::path::Path::new(&dir)).await;
    let world = World::new(&store).await;
    let mut out = std::io::stdout();
    writeln!(out, "\ninstance {}", world.instance).unwrap();
    for number in 0_u32.. {
        // The pending row is answered early; the write after it is not, and must never be there without it.
        let key = number.to_be_bytes().to_vec();
        let pending = Record { kind: RecordKind::PendingInbound, key: key.clone(), value: vec![1], mark: 1 };
        store.commit(vec![world.write(Op::Put(vec![pending]))]).await;
        let outcomes = store.commit(vec![world.write(put(&key, b"v"))]).await;
        assert!(matches!(outcomes[..], [Outcome::Done]));
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_keeps_what_it_answered() {
    for answers in [1, 25, 60] {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut instance, mut done) = (None, None);
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(id) = line.strip_prefix("instance ") {
                instance = Some(id.parse().unwrap());
            }
            if let Some(number) = line.strip_prefix("done ") {
                done = Some(number.parse::<u32>().unwrap());
            }
            if done >= Some(answers) {
                break;
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let (instance, done) = (instance.expect("an instance"), done.expect("an answer"));
        let store = open(dir.path()).await;
        let keys = async |kind| -> Vec<Vec<u8>> {
            let stored = store.records_with_prefix(instance, kind, b"").await.unwrap();
            stored.into_iter().map(|record| record.key).collect()
        };
        let (written, pending) = (keys(RecordKind::Identity).await, keys(RecordKind::PendingInbound).await);
        let expected: Vec<Vec<u8>> = (0..=done).map(|number| number.to_be_bytes().to_vec()).collect();
        assert!(written.starts_with(&expected), "{} of {} are there", written.len(), expected.len());
        assert!(pending.starts_with(&written), "a write came before the one queued before it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_file_are_their_owners_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/b");
    let store = open(&data).await;
    World::new(&store).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["warren.db", "warren.db-wal", "warren.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_or_shard_count_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await;
    let refused = Sqlite::open(Options { network: SIMULATOR, ..options(dir.path()) }).await.unwrap_err();
    assert!(matches!(refused, OpenError::OtherNetwork { .. }), "{refused}");
    let shard_count = ShardCount(NonZeroU16::new(16).unwrap());
    let refused = Sqlite::open(Options { shard_count, ..options(dir.path()) }).await.unwrap_err();
    assert!(matches!(refused, OpenError::OtherShardCount { asked: 16, .. }), "{refused}");

    let dir = tempfile::tempdir().unwrap();
    Sqlite::open(Options { network: SIMULATOR, ..options(dir.path()) }).await.unwrap().close().await;
    let other = Network::Simulator { static_key: [8; 32] };
    for network in [other, Network::Whatsapp] {
        let refused = Sqlite::open(Options { network, ..options(dir.path()) }).await.unwrap_err();
        assert!(matches!(refused, OpenError::OtherNetwork { .. }), "{refused}");
        assert!(!refused.to_string().contains('\n'));
    }
    Sqlite::open(Options { network: SIMULATOR, ..options(dir.path()) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_pending_and_edited_migrations_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let not_allowed = || Options { migrate: false, ..options(dir.path()) };
    let refused = Sqlite::open(not_allowed()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Pending { count: 2.. }), "{refused}");
    assert!(!dir.path().join("warren.db").exists(), "a refusal left a file");
    open(dir.path()).await.close().await;
    Sqlite::open(not_allowed()).await.unwrap().close().await;

    let change = |sql: &str| Connection::open(dir.path().join("warren.db")).unwrap().execute_batch(sql).unwrap();
    change("INSERT INTO migrations VALUES (99, 'later', '', 0)");
    let refused = Sqlite::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused}");
    change("DELETE FROM migrations WHERE version = 99; UPDATE migrations SET checksum = 'x'");
    let refused = Sqlite::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::Edited { version: 1 }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_store_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("warren.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&file).unwrap();
    let refused = Sqlite::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::NotWarren), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), before);

    std::fs::write(
        &file,
        "a text of more than a hundred bytes, so that it cannot pass for an empty file or for a short read of a header",
    )
    .unwrap();
    let refused = Sqlite::open(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::NotWarren), "{refused}");

    let refused = Sqlite::open(options(&file)).await.unwrap_err();
    assert!(matches!(refused, OpenError::NotWritable { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.meta("seal").await.unwrap(), None);
    assert_eq!(store.put_meta_if_absent("seal", b"one").await.unwrap(), b"one");
    assert_eq!(store.put_meta_if_absent("seal", b"two").await.unwrap(), b"one");
    assert_eq!(store.put_meta_if_absent("store.network", b"x").await.unwrap_err().kind, ErrorKind::Invalid);
    store.close().await;
    assert_eq!(open(dir.path()).await.meta("seal").await.unwrap(), Some(b"one".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_does_not_grow_for_ever() {
    const WRITTEN: usize = 256 << 20;
    const KEPT: u64 = 128 << 20;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    let length = || std::fs::metadata(dir.path().join("warren.db-wal")).unwrap().len();
    // Every value differs: what does not change a page is not logged.
    let write = async |round: usize| {
        let value: Vec<u8> = round.to_be_bytes().into_iter().cycle().take(256 * 1024).collect();
        let key = (round % 64).to_be_bytes();
        assert!(matches!(store.commit(vec![world.write(put(&key, &value))]).await[..], [Outcome::Done]));
    };
    // Twice what may be kept: the thread beside the lane must have cut it in the end.
    let rounds = WRITTEN / (256 * 1024);
    for round in 0..rounds {
        write(round).await;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    for round in rounds.. {
        if length() < KEPT {
            break;
        }
        assert!(Instant::now() < deadline, "the log has {} bytes", length());
        write(round).await;
    }
}

/// Who a message went to is nobody's business once the message is gone.
#[tokio::test]
async fn the_members_of_a_message_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let world = World::new(&store).await;
    let message = NewMessage {
        id: MessageId::generate(),
        tenant: world.tenant,
        instance: world.instance,
        whatsapp_id: "A".to_owned(),
        secret: [3; 32],
        chat: "120363000000000001@g.us".to_owned(),
        content: Content::Unsupported,
        quoted: None,
        delivery: Delivery::AtLeastOnce,
        expires_at: None,
        metadata: serde_json::Map::new(),
        created_at: Timestamp::default(),
        idempotency: None,
        queue_limit: 10,
    };
    let id = message.id;
    store.accept(vec![message]).await.unwrap();
    let members = vec![Member { jid: "1@lid".to_owned(), pn: None, lid: None }];
    let sent = ReceiptTarget { whatsapp_ids: vec!["A".to_owned()], status: MessageStatus::Sent, at: Timestamp::default() };
    let writes = vec![world.write(Op::Audience { message: id, members }), world.write(Op::Receipt(sent))];
    assert!(matches!(store.commit(writes).await[..], [Outcome::Done, Outcome::Done]));
    let count = || {
        let conn = Connection::open(dir.path().join("warren.db")).unwrap();
        conn.query_row("SELECT count(*) FROM message_members", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count(), 1);
    let kept = Duration::from_secs(60);
    let retention = Retention { events: kept, messages: kept, idempotency: kept };
    let later = SystemClock.now().after(2 * kept);
    assert_eq!(store.expire(later, &retention, 10).await.unwrap().messages, 1);
    assert_eq!(count(), 0);
}
