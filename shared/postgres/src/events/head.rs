//! The head of the log, asked for by many readers at once.

use sqlx::{PgExecutor, PgPool};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Looks for the head on behalf of all readers of the process, from the last that it found on: one look serves everybody who
/// asked before it began.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// How many asked.
    asked: AtomicU64,
    last: Mutex<Look>,
}

#[derive(Debug, Default)]
struct Look {
    /// Up to the how manieth who asked it serves.
    serves: u64,
    head: i64,
}

impl Heads {
    /// The last position that can no longer be overtaken by an earlier one; found after this was called.
    pub(crate) async fn head(&self, pool: &PgPool) -> Result<i64, sqlx::Error> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.serves < mine {
            let serves = self.asked.load(Ordering::SeqCst);
            let head = sqlx::query_scalar("SELECT log_head_after($1)").bind(last.head).fetch_one(pool).await?;
            *last = Look { serves, head };
        }
        Ok(last.head)
    }
}

/// Looks at once, without a head that is known.
pub(super) async fn look(conn: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT log_head()").fetch_one(conn).await
}
