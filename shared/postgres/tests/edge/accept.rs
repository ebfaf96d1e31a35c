//! Order, limits and keys while two gateways accept for one instance.

use crate::world::{Sender, accept, gateways, is_new};
use futures::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use warren_ports::ledger::{Accepted, Instances, Messages, NewMessage};
use warren_postgres::Postgres;

/// When a call was made and when it returned, by one counter.
#[derive(Debug, Clone, Copy)]
struct Span {
    made: u64,
    returned: u64,
}

/// Makes calls one after the other, each with three messages.
async fn caller(store: &Postgres, sender: Sender, name: usize, calls: usize, counter: &AtomicU64) -> Vec<(String, Span)> {
    let mut spans = Vec::new();
    for call in 0..calls {
        let ids: Vec<String> = (0..3).map(|part| format!("{name}-{call}-{part}")).collect();
        let messages = ids.iter().map(|id| sender.message(id)).collect();
        let made = counter.fetch_add(1, Ordering::SeqCst);
        let verdicts = store.accept(messages).await.unwrap();
        let returned = counter.fetch_add(1, Ordering::SeqCst);
        assert!(verdicts.len() == 3 && verdicts.iter().all(is_new), "{verdicts:?}");
        spans.extend(ids.into_iter().map(|id| (id, Span { made, returned })));
    }
    spans
}

/// Of two calls, the one that returned before the other was made comes first, whichever gateways they went to; and a queue only
/// ever grows at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_in_the_order_of_its_calls() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let sender = Sender::new(first).await;
    let (counter, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let calling = async {
        let callers = (0..12).map(|name| caller(if name % 2 == 0 { first } else { second }, sender, name, 25, &counter));
        let spans = join_all(callers).await.concat();
        done.store(true, Ordering::SeqCst);
        spans
    };
    let watching = async {
        let mut seen = Vec::new();
        while !done.load(Ordering::SeqCst) {
            let now = sender.open(second).await;
            assert!(now.starts_with(&seen), "something came before what was seen already");
            seen = now;
        }
    };
    let (spans, ()) = tokio::join!(calling, watching);
    let spans: HashMap<String, Span> = spans.into_iter().collect();
    let queue = sender.open(first).await;
    assert_eq!(queue.iter().collect::<HashSet<_>>(), spans.keys().collect());
    let mut made = 0;
    for id in &queue {
        let span = spans.get(id).unwrap();
        assert!(span.returned > made, "{id} returned before something that is before it was asked for");
        made = made.max(span.made);
    }
    for calls in queue.chunks(3) {
        let parts: Vec<_> = calls.iter().filter_map(|id| id.rsplit_once('-')).collect();
        assert!(matches!(parts.as_slice(), [(a, "0"), (b, "1"), (c, "2")] if a == b && b == c), "{calls:?}");
    }
}

/// The limit is met exactly, however many ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_filled_to_its_limit() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let sender = Sender::new(first).await;
    let calls = (0..300_usize).map(|number| {
        let message = NewMessage { queue_limit: 100, ..sender.message(&number.to_string()) };
        accept(if number % 2 == 0 { first } else { second }, message)
    });
    let verdicts = join_all(calls).await;
    assert_eq!(verdicts.iter().filter(|verdict| is_new(verdict)).count(), 100);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Accepted::QueueFull).count(), 200);
    assert_eq!(sender.open(first).await.len(), 100);
}

/// Of calls with one key exactly one is new, whichever gateways and instances they name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_one_message_through_any_gateway() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let one = Sender::new(first).await;
    let other = Sender::of(first, one.tenant).await;
    for round in 0..40 {
        let key = format!("k{round}");
        let verdicts = tokio::join!(
            accept(first, one.keyed(&key)),
            accept(second, other.keyed(&key)),
            accept(first, other.keyed(&key)),
            accept(second, one.keyed(&key)),
        );
        let verdicts = [verdicts.0, verdicts.1, verdicts.2, verdicts.3];
        let made: Vec<_> = verdicts
            .iter()
            .map(|verdict| match verdict {
                Accepted::New(message) | Accepted::Replay(message) => message.id,
                refused => panic!("{refused:?}"),
            })
            .collect();
        assert_eq!(verdicts.iter().filter(|verdict| is_new(verdict)).count(), 1, "{verdicts:?}");
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), 1, "{verdicts:?}");
    }
    assert_eq!(one.open(first).await.len() + other.open(first).await.len(), 40);
}

/// Messages of one call that share a key are judged one after the other, and a limit that changes on the way holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_judged_message_by_message() {
    let (_database, stores) = gateways::<1>().await;
    let [store] = &stores;
    let (one, other) = (Sender::new(store).await, Sender::new(store).await);
    let limited = |limit: u32, message: NewMessage| NewMessage { queue_limit: limit, ..message };
    let asked = vec![
        one.keyed("k"),
        one.keyed("k"),
        limited(1, one.message("full")),
        other.keyed("k"),
        limited(2, one.message("fits")),
        limited(2, one.keyed("l")),
        limited(3, one.keyed("l")),
        one.keyed("l"),
    ];
    let first = asked.first().unwrap().id;
    let verdicts = store.accept(asked).await.unwrap();
    assert!(
        matches!(
            verdicts.as_slice(),
            [
                Accepted::New(_),
                Accepted::Replay(made),
                Accepted::QueueFull,
                Accepted::New(_),
                Accepted::New(_),
                Accepted::QueueFull,
                Accepted::New(_),
                Accepted::Replay(_)
            ] if made.id == first
        ),
        "{verdicts:?}"
    );
    assert_eq!(one.open(store).await, ["k", "fits", "l"]);
}

/// What cannot be stored is refused alone; what came with it is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_culprit_is_refused_alone() {
    let (_database, stores) = gateways::<1>().await;
    let [store] = &stores;
    let sender = Sender::new(store).await;
    let calls = (0..20_usize).map(|number| {
        let chat = if number % 5 == 4 { "with\0zero@s.whatsapp.net" } else { "15550111@s.whatsapp.net" };
        store.accept(vec![NewMessage { chat: chat.to_owned(), ..sender.message(&number.to_string()) }])
    });
    let answers = join_all(calls).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(verdicts) => assert!(number % 5 != 4 && verdicts.iter().all(is_new)),
            Err(error) => assert_eq!((number % 5, error.code), (4, "internal")),
        }
    }
    assert_eq!(sender.open(store).await.len(), 16);
}

/// What was accepted while its instance was deleted ends with it: nothing is left open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_open_in_a_deleted_instance() {
    let (database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    for _ in 0..25 {
        let sender = Sender::new(first).await;
        let accepting = async {
            let mut accepted = Vec::new();
            for number in 0.. {
                match accept(first, sender.message(&number.to_string())).await {
                    Accepted::New(message) => accepted.push(message.id),
                    refused => {
                        assert_eq!(refused, Accepted::NoInstance);
                        break;
                    }
                }
            }
            accepted
        };
        let deleting = async {
            while first.open_messages(&[sender.instance], 10).await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            assert!(second.delete_instance(sender.tenant, sender.instance).await.unwrap());
        };
        let (accepted, ()) = tokio::join!(accepting, deleting);
        for id in accepted {
            let message = first.message(sender.tenant, id).await.unwrap().unwrap();
            assert_eq!(message.reason, Some(warren_domain::FailureReason::LoggedOut));
        }
    }
    let left =
        database.execute(&["SELECT (SELECT count(*) FROM queue), (SELECT sum(open_messages) FROM instance_counters)"]);
    assert_eq!(left.await.unwrap(), "0|0");
}

/// Calls that come together share transactions; one that comes alone is not held up by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_come_together_share_a_commit() {
    let (database, stores) = gateways::<1>().await;
    let [store] = &stores;
    let sender = Sender::new(store).await;
    let verdicts = join_all((0..400_u32).map(|number| accept(store, sender.message(&number.to_string())))).await;
    assert!(verdicts.iter().all(is_new));
    let transactions = database.execute(&["SELECT count(DISTINCT xmin::text) FROM messages"]).await.unwrap();
    assert!(transactions.parse::<u32>().unwrap() <= 20, "400 calls in {transactions} transactions");
}
