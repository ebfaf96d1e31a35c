//! The client library's tasks: everything it spawns runs here, so that one client can be aborted as a whole.
//!
//! The library's own shutdown flushes and acknowledges, which is exactly what must not happen once its store was refused.

use async_trait::async_trait;
use std::{future::Future, pin::Pin, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wacore::runtime::{AbortHandle, Runtime};

/// The tasks of one client.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientTasks {
    aborted: CancellationToken,
    tracker: TaskTracker,
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
}

#[async_trait]
impl Runtime for ClientTasks {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) -> AbortHandle {
        let handle = self.run(future);
        AbortHandle::new(move || handle.abort())
    }

    fn spawn_detached(&self, future: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) {
        self.run(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
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
