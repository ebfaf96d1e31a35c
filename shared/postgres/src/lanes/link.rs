//! A lane's connection, and the proof that the one before it is no more.

use crate::failure::{Class, class};
use crate::roles;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};
use std::time::Duration;
use uuid::Uuid;

/// How long a connection may take to be made; the caller tries again.
const CONNECT: Duration = Duration::from_secs(2);
/// After so many transactions plans are made again, then after four times as many each.
const FIRST_PLANS: u32 = 16;
/// How long one request to end a server process waits for its end, milliseconds.
const END_MS: i64 = 500;

/// A process of the server: ids are used again, so when it began names it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backend {
    pid: i32,
    /// Microseconds since 1970.
    began: i64,
}

/// An open connection.
pub(super) struct Link {
    pub(super) conn: PgConnection,
    pub(super) backend: Backend,
    /// Transactions begun.
    begun: u32,
}

impl Link {
    /// Connects, and does not return before `former` is gone: nothing that was sent to it can take effect any more.
    ///
    /// The login's own rights last until then: a role neither sees nor ends the processes of its login.
    pub(super) async fn open(
        connect: &PgConnectOptions,
        role: Option<&str>,
        former: Option<Backend>,
    ) -> Result<Self, sqlx::Error> {
        let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let opening = async {
            let mut conn = connect.connect().await?;
            let row = sqlx::query(
                "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::BIGINT FROM pg_stat_activity
                 WHERE pid = pg_backend_pid()",
            )
            .fetch_one(&mut conn)
            .await?;
            let backend = Backend { pid: row.try_get(0)?, began: row.try_get(1)? };
            Ok::<_, sqlx::Error>(Self { conn, backend, begun: 0 })
        };
        let mut link = tokio::time::timeout(CONNECT, opening).await.map_err(timed_out)??;
        if let Some(former) = former {
            tokio::time::timeout(CONNECT, link.end(former)).await.map_err(timed_out)??;
        }
        if let Some(role) = role {
            let acting = roles::become_role(&mut link.conn, role);
            tokio::time::timeout(CONNECT, acting).await.map_err(timed_out)??;
        }
        Ok(link)
    }

    /// Ends a server process of our own, and waits until it is gone: it has undone or finished its transaction by then.
    async fn end(&mut self, former: Backend) -> Result<(), sqlx::Error> {
        loop {
            let asked = sqlx::query(
                "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity
                 WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::BIGINT = $2",
            )
            .bind(former.pid)
            .bind(former.began)
            .bind(END_MS)
            .fetch_optional(&mut self.conn)
            .await?;
            if asked.is_none() {
                return Ok(());
            }
        }
    }

    /// Which batch of a lane was committed last; 0 if none was.
    pub(super) async fn last_batch(&mut self, lane: Uuid) -> Result<i64, sqlx::Error> {
        let last: Option<i64> = sqlx::query_scalar("SELECT batch FROM lane_commits WHERE lane = $1")
            .bind(lane)
            .fetch_optional(&mut self.conn)
            .await?;
        Ok(last.unwrap_or_default())
    }

    /// Begins a transaction; with `relaxed`, one whose commit nobody waits for.
    ///
    /// Plans are made for the size that tables have when a statement comes for the first time. In a young store that is no
    /// size at all, so they are made again now and then, ever more seldom.
    pub(super) async fn begin(&mut self, relaxed: bool) -> Result<(), sqlx::Error> {
        self.begun = self.begun.wrapping_add(1);
        if self.begun >= FIRST_PLANS && self.begun.is_power_of_two() && self.begun.trailing_zeros().is_multiple_of(2) {
            sqlx::raw_sql("DISCARD PLANS").execute(&mut self.conn).await?;
        }
        // Without the sync of this commit the next synced one still syncs it first: the log is one file, in order.
        let begin = if relaxed { "BEGIN; SET LOCAL synchronous_commit = OFF" } else { "BEGIN" };
        sqlx::raw_sql(begin).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Undoes the open transaction; `false` if the connection is of no use any more.
    pub(super) async fn undo(&mut self) -> bool {
        match sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await {
            Ok(_) => true,
            Err(error) => {
                if class(&error) != Class::Broken {
                    tracing::error!(%error, "a transaction could not be rolled back");
                }
                false
            }
        }
    }
}
