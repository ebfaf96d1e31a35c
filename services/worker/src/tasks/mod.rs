//! The client library's tasks: everything it spawns runs here, so that one client can be aborted as a whole.
//!
//! The library's own shutdown flushes and acknowledges, which is exactly what must not happen once its store was refused.

mod starts;

use self::starts::{Attendant, Job, Starts};
use async_trait::async_trait;
use std::{future::Future, pin::Pin, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wacore::runtime::{AbortHandle, Runtime};
use warren_runtime::fault;

/// The tasks of one client.
#[derive(Clone, Default)]
pub(crate) struct ClientTasks {
    aborted: CancellationToken,
    tracker: TaskTracker,
    starts: Starts,
}

impl ClientTasks {
    /// Drops every task at its next await; none of the client's code runs again. Idempotent.
    pub(crate) fn abort(&self) {
        self.aborted.cancel();
        self.tracker.close();
    }

    /// Resolves when no task of the client is left. Only after [`Self::abort`].
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Runs a future as one of the client's tasks.
    pub(crate) fn run(&self, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let aborted = self.aborted.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = aborted.cancelled() => {}
                () = future => {}
            }
        })
    }

    /// Begins the detached tasks in their order; those that wait for something go on by themselves.
    async fn attend(self, mut attendant: Attendant) {
        while !self.aborted.is_cancelled()
            && let Some(job) = attendant.next()
        {
            if let Some(job) = starts::begin(job) {
                self.run(job);
            }
            tokio::task::consume_budget().await;
        }
    }
}

#[async_trait]
impl Runtime for ClientTasks {
    fn spawn(&self, future: Job) -> AbortHandle {
        let handle = self.run(future);
        AbortHandle::new(move || handle.abort())
    }

    fn spawn_detached(&self, future: Job) {
        if let Some(attendant) = self.starts.push(future) {
            self.run(self.clone().attend(attendant));
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        // The library's wait before it stores ratchets that nobody waits for.
        if duration == Duration::from_millis(25) && fault::mutation("ratchets_stored_late") {
            return Box::pin(tokio::time::sleep(Duration::from_secs(3_600)));
        }
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn_blocking(&self, f: Box<dyn FnOnce() + Send + 'static>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            // A panic in there is the library's own; it ends that piece of work only.
            let _ = tokio::task::spawn_blocking(f).await;
        })
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}

#[cfg(test)]
mod tests;
