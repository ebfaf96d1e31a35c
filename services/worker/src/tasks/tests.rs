//! What the runtime promises to the library, and the library's own tasks to each other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detached_tasks_begin_in_their_order() {
    const TASKS: u32 = 20_000;
    let tasks = ClientTasks::default();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let handing = {
        let (tasks, begun) = (tasks.clone(), begun.clone());
        // Handed over by a task, as the library does: from there, an executor is free to run the last one first.
        tokio::spawn(async move {
            for number in 0..TASKS {
                let begun = begun.clone();
                tasks.spawn_detached(Box::pin(async move { begun.lock().unwrap().push(number) }));
                if number % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let (done, last) = oneshot::channel();
            tasks.spawn_detached(Box::pin(async move { done.send(()).unwrap() }));
            last.await.unwrap();
        })
    };
    tokio::time::timeout(PATIENCE, handing).await.unwrap().unwrap();
    assert_eq!(*begun.lock().unwrap(), (0..TASKS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_or_panics_holds_no_other_up() {
    let tasks = ClientTasks::default();
    let (heard, mut said) = mpsc::unbounded_channel();
    let bell = Arc::new(Notify::new());
    let (waiting, ringing, speaker) = (bell.clone(), bell.clone(), heard.clone());
    tasks.spawn_detached(Box::pin(async move {
        waiting.notified().await;
        speaker.send("it went on").unwrap();
    }));
    tasks.spawn_detached(Box::pin(async { panic!("what a task does to itself") }));
    tasks.spawn_detached(Box::pin(async move {
        heard.send("the last began").unwrap();
        ringing.notify_one();
    }));
    for expected in ["the last began", "it went on"] {
        assert_eq!(tokio::time::timeout(PATIENCE, said.recv()).await.unwrap(), Some(expected));
    }
}

#[tokio::test]
async fn nothing_begins_after_the_abort_and_nothing_is_kept() {
    let tasks = ClientTasks::default();
    let held = Arc::new(());
    let task = |held: &Arc<()>| {
        let held = held.clone();
        Box::pin(async move {
            drop(held);
            panic!("it began");
        })
    };
    // On one thread none of them has begun yet.
    tasks.spawn_detached(task(&held));
    tasks.spawn_detached(task(&held));
    tasks.abort();
    tasks.spawn_detached(task(&held));
    tokio::time::timeout(PATIENCE, tasks.ended()).await.unwrap();
    tasks.spawn_detached(task(&held));
    tokio::time::timeout(PATIENCE, tasks.ended()).await.unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
}
