//! Opening what is there, what is not, and what is somebody else's.

use crate::world::{fresh, open, options};
use std::num::NonZeroU16;
use warren_domain::{ErrorKind, Network, ShardCount};
use warren_postgres::{OpenError, Options, Postgres};
use warren_testkit::services::{Port, Postgres as Server};

const SIMULATOR: Network = Network::Simulator { static_key: [7; 32] };

async fn refused(options: Options) -> OpenError {
    let refused = Postgres::open(options).await.unwrap_err();
    let line = refused.to_string();
    assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_gets_one_clear_line() {
    for url in [
        "",
        "hunter2",
        "mysql://me:hunter2@127.0.0.1/x",
        "postgres://me:hunter2@127.0.0.1:port/x",
        "postgres://me:hunter2@[x/y",
    ] {
        let error = refused(options(url)).await;
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error}");
    }
    let port = Port::take().unwrap();
    let error = refused(options(&format!("postgres://me:hunter2@{}/x", port.address()))).await;
    let OpenError::Unreachable { server, reason } = &error else { unreachable!("{error}") };
    assert_eq!(server, &format!("{}/x", port.address()));
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nobody_in_says_why() {
    let server = Server::start().await.unwrap();
    let address = server.address();
    let wrong = refused(options(&format!("postgres://postgres:hunter2@{address}/postgres"))).await.to_string();
    assert!(wrong.contains("password"), "{wrong}");
    let url = server.url();
    let no_database = format!("{}/nothing_here", url.rsplit_once('/').unwrap().0);
    let absent = refused(options(&no_database)).await.to_string();
    assert!(absent.contains("does not exist"), "{absent}");
    let encrypted = refused(options(&format!("{}?sslmode=require", server.url()))).await.to_string();
    assert!(encrypted.contains("TLS") || encrypted.contains("SSL"), "{encrypted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_or_shard_count_is_refused() {
    let (database, store) = fresh().await;
    store.close().await;
    let error = refused(Options { network: Some(SIMULATOR), ..options(database.url()) }).await;
    assert!(matches!(error, OpenError::OtherNetwork { .. }), "{error}");
    let shard_count = ShardCount(NonZeroU16::new(16).unwrap());
    let error = refused(Options { shard_count, ..options(database.url()) }).await;
    assert!(matches!(error, OpenError::OtherShardCount { asked: 16, .. }), "{error}");
    let changed = "UPDATE meta SET value = 'md5' WHERE name = 'store.shard_hash'";
    database.execute(&[changed]).await.unwrap();
    let error = refused(options(database.url())).await;
    assert!(matches!(error, OpenError::OtherShardHash { .. }), "{error}");

    let database = Server::database().await.unwrap();
    Postgres::open(Options { network: Some(SIMULATOR), ..options(database.url()) }).await.unwrap();
    let error = refused(options(database.url())).await;
    assert!(matches!(error, OpenError::OtherNetwork { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_pending_and_edited_migrations_are_refused() {
    let database = Server::database().await.unwrap();
    let not_allowed = || Options { migrate: false, ..options(database.url()) };
    let error = refused(not_allowed()).await;
    assert!(matches!(error, OpenError::Pending { count: 2.. }), "{error}");
    assert!(error.to_string().contains("warren migrate"));
    let tables = database.execute(&["SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"]).await.unwrap();
    assert_eq!(tables, "0", "a refusal made tables");
    open(database.url()).await.close().await;
    Postgres::open(not_allowed()).await.unwrap().close().await;

    database.execute(&["INSERT INTO warren_migrations VALUES (99, 'later', '', 0)"]).await.unwrap();
    for options in [options(database.url()), not_allowed()] {
        let error = refused(options).await;
        assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    }
    let edited = "UPDATE warren_migrations SET checksum = 'x' WHERE version = 1";
    database.execute(&["DELETE FROM warren_migrations WHERE version = 99", edited]).await.unwrap();
    let error = refused(options(database.url())).await;
    assert!(matches!(error, OpenError::Edited { version: 1 }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_store_is_refused_and_not_touched() {
    let database = Server::database().await.unwrap();
    database.execute(&["CREATE TABLE theirs (x INTEGER)"]).await.unwrap();
    let error = refused(options(database.url())).await;
    assert!(matches!(error, OpenError::NotWarren), "{error}");
    let tables = database.execute(&["SELECT tablename FROM pg_tables WHERE schemaname = 'public'"]).await.unwrap();
    assert_eq!(tables, "theirs");
}

/// All roles of a cluster may start at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_may_make_it_at_once() {
    let database = Server::database().await.unwrap();
    let opening = (0..6).map(|_| Postgres::open(options(database.url())));
    for opened in futures::future::join_all(opening).await {
        opened.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_is_written_once() {
    let (database, store) = fresh().await;
    assert_eq!(store.meta("seal").await.unwrap(), None);
    assert_eq!(store.put_meta_if_absent("seal", b"one").await.unwrap(), b"one");
    assert_eq!(store.put_meta_if_absent("seal", b"two").await.unwrap(), b"one");
    assert_eq!(store.put_meta_if_absent("store.network", b"x").await.unwrap_err().kind, ErrorKind::Invalid);
    store.close().await;
    assert_eq!(open(database.url()).await.meta("seal").await.unwrap(), Some(b"one".to_vec()));
}
