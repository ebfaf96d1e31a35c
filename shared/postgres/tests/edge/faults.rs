//! What a caller is told while the server goes away under the statement.

use crate::world::{Sender, handle};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use warren_domain::{ErrorKind, MessageId};
use warren_ports::ledger::{Accepted, Messages, NewMessage};
use warren_postgres::Postgres;
use warren_testkit::services::{Postgres as Server, Stop};
use warren_testkit::{Chaos, Direction};

#[derive(Debug, Default)]
struct Told {
    accepted: Vec<MessageId>,
    refused: Vec<MessageId>,
}

async fn caller(store: &Postgres, sender: Sender, until: usize, total: &AtomicUsize) -> Told {
    let mut told = Told::default();
    while total.load(Ordering::SeqCst) < until {
        let message = sender.message("A");
        let id = message.id;
        match store.accept(vec![message]).await {
            Ok(verdicts) => {
                assert!(matches!(verdicts.as_slice(), [Accepted::New(_)]), "{verdicts:?}");
                told.accepted.push(id);
                total.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) if error.kind == ErrorKind::Unavailable => told.refused.push(id),
            Err(error) => panic!("{error}"),
        }
    }
    told
}

/// Through restarts of the server under load, what was accepted is there, once, and what was refused is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_restarts() {
    let mut server = Server::start().await.unwrap();
    let url = server.url();
    let stores = [handle(&url).await, handle(&url).await];
    let sender = Sender::new(&stores[0]).await;
    let total = AtomicUsize::new(0);
    let calling = async {
        let callers = (0..16).map(|number| caller(&stores[number % 2], sender, 4_000, &total));
        futures::future::join_all(callers).await
    };
    let failing = async {
        for (round, how) in [Stop::Immediate, Stop::Fast, Stop::Immediate, Stop::Fast].into_iter().enumerate() {
            while total.load(Ordering::SeqCst) < 600 * (round + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.stop(how).await.unwrap();
            server.restart().await.unwrap();
        }
    };
    let (told, ()) = tokio::join!(calling, failing);
    let open = stores[0].open_messages(&[sender.instance], 1_000_000).await.unwrap();
    let stored: HashSet<MessageId> = open.iter().map(|open| open.message.id).collect();
    assert_eq!(stored.len(), open.len());
    let accepted: HashSet<MessageId> = told.iter().flat_map(|told| told.accepted.iter().copied()).collect();
    assert_eq!(stored, accepted, "accepted and stored are the same");
    let counted = server.execute(&[
        "SELECT sum(open_messages) = (SELECT count(*) FROM queue) AND (SELECT count(*) FROM messages) = (SELECT count(*) FROM queue)
         FROM instance_counters",
    ]);
    assert_eq!(counted.await.unwrap(), "t");
}

/// A server that does not answer is waited for as long as the edge waits, and then nothing was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_unavailable() {
    let mut server = Server::start().await.unwrap();
    let store = handle(&server.url()).await;
    let sender = Sender::new(&store).await;
    server.stop(Stop::Fast).await.unwrap();
    let began = tokio::time::Instant::now();
    let refused = store.accept(vec![sender.message("A")]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    server.restart().await.unwrap();
    let accepted = store.accept(vec![sender.message("B")]).await.unwrap();
    assert!(matches!(accepted.as_slice(), [Accepted::New(_)]));
    assert_eq!(sender.open(&store).await, ["B"]);
}

/// A reply that was lost after the commit: the call is not carried out twice, and its caller is told that it was carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_is_no_second_message() {
    let server = Server::start().await.unwrap();
    let chaos = Chaos::before(server.address()).await.unwrap();
    let (direct, store) = (handle(&server.url()).await, handle(&server.url_at(chaos.address())).await);
    let sender = Sender::new(&direct).await;
    store.accept(vec![sender.message("warm")]).await.unwrap();
    let mut expected = vec!["warm".to_owned()];
    for round in 0..4 {
        let id = |part: u32| format!("{round}-{part}");
        // Two that share their key take two statements, and the first reply is already lost.
        let asked = match round {
            0 => vec![sender.message(&id(0))],
            1 => vec![sender.keyed(&id(0)), sender.message(&id(1))],
            2 => vec![NewMessage { part: Some(0), ..sender.keyed(&id(0)) }],
            _ => vec![sender.keyed(&id(0)), sender.keyed(&id(0))],
        };
        let (first, count) = (asked[0].id, asked.len());
        chaos.stall_one_way(Direction::FromTarget);
        let accepting = store.accept(asked);
        let breaking = async {
            if round < 3 {
                while direct.message(sender.tenant, first).await.unwrap().is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            chaos.cut().await.unwrap();
            chaos.pass().await.unwrap();
        };
        let (verdicts, ()) = tokio::join!(accepting, breaking);
        let verdicts = verdicts.unwrap();
        assert!(matches!(&verdicts[0], Accepted::New(message) if message.id == first), "{verdicts:?}");
        assert_eq!(verdicts.len(), count);
        expected.push(id(0));
        if round == 1 {
            expected.push(id(1));
        }
        assert_eq!(sender.open(&direct).await, expected);
    }
    let counted = server.execute(&["SELECT open_messages = (SELECT count(*) FROM queue) FROM instance_counters"]);
    assert_eq!(counted.await.unwrap(), "t");
}
