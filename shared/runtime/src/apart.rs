//! A thread apart, for the little that must never wait behind everything else.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of one thread. When thousands of tasks of a process are ready at once, one more waits for seconds until it has
/// its turn; a thread that mostly sleeps gets its turn from the operating system within milliseconds. It is for tasks that
/// take microseconds and have a deadline: a lease, a heartbeat.
///
/// What is connected here is driven here: whatever such a task speaks with must be opened here too. Dropped, it ends its
/// tasks without waiting for them.
#[derive(Debug)]
pub struct Apart {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Apart {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread, or no descriptor.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// To start tasks there.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// The only thread of the test's runtime is blocked while it waits.
    #[tokio::test]
    async fn runs_while_everything_else_waits() {
        let apart = Apart::start("apart").unwrap();
        let (told, heard) = mpsc::channel();
        apart.handle().spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            told.send(std::thread::current().name().map(str::to_owned)).unwrap();
        });
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap().as_deref(), Some("apart"));
    }

    #[tokio::test]
    async fn its_tasks_end_with_it() {
        let apart = Apart::start("apart").unwrap();
        let (held, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let task = apart.handle().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(apart);
        assert_eq!(gone.recv().await, None);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
