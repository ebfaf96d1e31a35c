//! Waiting for a condition.

use anyhow::{Context, Result, anyhow};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a test waits for what normally takes milliseconds: other tests share the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long to pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks again and again until there is something, and returns it.
///
/// `look` says `Ok(Some(_))` when the condition holds, `Ok(None)` while it does not, and `Err` when it could not look, which
/// is also waited out (a process may be restarting).
///
/// # Errors
/// The condition did not hold within `deadline`; the error tells `what` was waited for and the last failed look.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let until = Instant::now() + deadline;
    let mut last = None;
    loop {
        match timeout_at(until, look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= until {
            let problem = last.unwrap_or_else(|| anyhow!("the condition did not hold"));
            return Err(problem).with_context(|| format!("waited {deadline:?} for: {what}"));
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_was_found() {
        let mut looks = 0;
        let found = eventually("three looks", PATIENCE, async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn tells_what_was_waited_for_and_why() {
        let waited = eventually::<(), _>("the moon", Duration::from_millis(60), async || Err(anyhow!("clouds")));
        let text = format!("{:#}", waited.await.unwrap_err());
        assert!(text.contains("the moon") && text.contains("clouds"), "{text}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_ends_at_the_deadline() {
        let waited = eventually::<(), _>("never", Duration::from_millis(60), async || std::future::pending().await);
        assert!(waited.await.is_err());
    }
}
