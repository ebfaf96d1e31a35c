//! Start and stop: a soft stop (finish what is under way), then a hard one (drop everything).

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The life of one process or sandbox. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    background: TaskTracker,
    crashed: Arc<OnceLock<&'static str>>,
}

impl Lifecycle {
    /// A life that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when no new work should be taken.
    pub async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// Whether no new work should be taken.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Resolves when everything must be dropped now.
    pub async fn stopped(&self) {
        self.hard.cancelled().await;
    }

    /// The soft token, for libraries that take one.
    #[must_use]
    pub fn soft_token(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Starts a task that the stop waits for; it is dropped at the hard stop.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = hard.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Starts a task without which the process makes no sense: if it ends before the stop, the stop begins.
    pub fn spawn_essential<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Held across the task, so that a panic begins the stop too.
        let guard = self.ends_life(name);
        self.spawn(async move {
            let _guard = guard;
            task.await;
        });
    }

    /// Starts a task that the others rely on and that has no end of its own (a renewal, a sweep): the stop does not wait
    /// for it; it is dropped when all the others have ended. If it ends before the stop, the stop begins.
    pub fn spawn_background<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (hard, guard) = (self.hard.clone(), self.ends_life(name));
        self.background.spawn(async move {
            let _guard = guard;
            tokio::select! {
                () = hard.cancelled() => {}
                () = task => {}
            }
        });
    }

    fn ends_life(&self, name: &'static str) -> EndsLife {
        EndsLife { name, soft: self.soft.clone(), crashed: Arc::clone(&self.crashed) }
    }

    /// The name of the essential task whose end began the stop, if one did.
    #[must_use]
    pub fn crashed(&self) -> Option<&'static str> {
        self.crashed.get().copied()
    }

    /// Begins the soft stop.
    pub fn begin_stop(&self) {
        self.soft.cancel();
    }

    /// Soft stop, then, after `grace` or as soon as `impatient` resolves, hard stop. Returns whether every task ended by
    /// itself.
    pub async fn stop(&self, grace: Duration, impatient: impl Future<Output = ()>) -> bool {
        self.soft.cancel();
        self.tasks.close();
        self.background.close();
        let finished = tokio::select! {
            () = self.tasks.wait() => true,
            () = tokio::time::sleep(grace) => false,
            () = impatient => false,
        };
        self.hard.cancel();
        self.tasks.wait().await;
        self.background.wait().await;
        finished
    }
}

struct EndsLife {
    name: &'static str,
    soft: CancellationToken,
    crashed: Arc<OnceLock<&'static str>>,
}

impl Drop for EndsLife {
    fn drop(&mut self) {
        if !self.soft.is_cancelled() {
            tracing::error!(task = self.name, "an essential task ended; stopping");
            // The first one is the cause; later ones follow from it.
            let _ = self.crashed.set(self.name);
            self.soft.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_stop_waits_for_what_is_under_way() {
        let life = Lifecycle::new();
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        life.spawn(async move { drop(finished.await) });
        let (clean, ()) = tokio::join!(life.stop(LIMIT, std::future::pending()), async {
            life.stopping().await;
            let _ = finish.send(());
        });
        assert!(clean);
        assert_eq!(life.crashed(), None);
    }

    #[tokio::test]
    async fn impatience_and_the_grace_end_the_wait() {
        let life = Lifecycle::new();
        life.spawn(std::future::pending());
        assert!(!life.stop(LIMIT, std::future::ready(())).await);
        let life = Lifecycle::new();
        life.spawn(std::future::pending());
        assert!(!life.stop(Duration::from_millis(1), std::future::pending()).await);
        life.stopped().await;
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_the_background() {
        let life = Lifecycle::new();
        let (held, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        life.spawn_background("sweep", async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(life.stop(LIMIT, std::future::pending()).await);
        assert_eq!(gone.recv().await, None, "it was dropped before the stop returned");
        assert_eq!(life.crashed(), None);
        let life = Lifecycle::new();
        life.spawn_background("sweep", async {});
        life.stopping().await;
        assert_eq!(life.crashed(), Some("sweep"));
    }

    #[tokio::test]
    async fn the_end_of_an_essential_task_begins_the_stop() {
        let life = Lifecycle::new();
        life.spawn_essential("steady", std::future::pending());
        life.spawn(async {});
        life.spawn_essential("fragile", async {});
        tokio::time::timeout(LIMIT, life.stopping()).await.unwrap_or(());
        assert_eq!(life.crashed(), Some("fragile"));
        life.stop(Duration::ZERO, std::future::pending()).await;
        assert_eq!(life.crashed(), Some("fragile"), "the others were stopped, they did not crash");
    }
}
