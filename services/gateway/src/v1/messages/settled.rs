//! Waiting until a message is acknowledged by WhatsApp's server, or failed.

use crate::{
    parameters::Parameters,
    problem::{Problem, Result},
    state::App,
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};
use warren_domain::{Message, MessageId, TenantId};
use warren_ports::bus::{Listener, Topic};

/// How long an answer may be waited for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
pub(super) struct Waiting {
    /// Wait until WhatsApp's server acknowledged or refused the message, or the time is up.
    #[param(inline)]
    wait: Option<Until>,
    /// With `wait`: how many seconds at most. Default 10.
    #[param(minimum = 0, maximum = 30)]
    timeout: Option<f64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a query parameter")]
enum Until {
    Sent,
}

const DEFAULT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(30);
/// A lost ring costs this much.
const LOOK: Duration = Duration::from_secs(1);

/// `?wait=sent[&timeout=SECONDS]`: how long to wait, if at all.
pub(super) fn wished(mut query: Parameters) -> Result<Option<Duration>> {
    let wait = query.parsed("wait", |text| (text == "sent").then_some(()))?;
    let seconds =
        query.parsed("timeout", |text| text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()))?;
    query.finish()?;
    if seconds.is_some_and(|timeout| timeout > LONGEST) {
        return Err(Problem::field("timeout", "At most 30 seconds."));
    }
    Ok(wait.map(|()| seconds.unwrap_or(DEFAULT)))
}

/// Listens for the end of one message.
pub(super) struct Settled {
    listener: Box<dyn Listener>,
    deadline: Instant,
}

impl Settled {
    /// Listens from now on: called before the message is committed, so that no ring is missed.
    pub(super) async fn listen(app: &App, message: MessageId, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        Self { listener: app.bus.listen(Topic::Settled(message)).await, deadline }
    }

    /// The message as soon as it is not open any more, or as it is when the time is up, and a second later at most, whatever the
    /// ledger does; or when the gateway stops, as soon as the ledger has answered.
    pub(super) async fn wait(mut self, app: &App, tenant: TenantId, mut message: Message) -> Message {
        let mut is_heard = true;
        while message.status.is_open() && Instant::now() < self.deadline && !app.lifecycle.is_stopping() {
            let next_look = self.deadline.min(Instant::now() + LOOK);
            let ring = async {
                if is_heard {
                    is_heard = self.listener.next().await.is_some();
                }
                if !is_heard {
                    // The bus is closed: only looking is left.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = timeout_at(next_look, ring) => {}
                () = app.lifecycle.stopping() => {}
            }
            // A ledger that does not answer now is asked again until the time is up: the message is accepted either way. A slow one
            // has all of the time, and a last look is more than a glance.
            let until = self.deadline.max(Instant::now() + LOOK);
            if let Some(current) = look(app.ledger.message(tenant, message.id), until).await {
                message = current;
            }
        }
        message
    }
}

/// What the ledger says, if it does until then: while its database is away it waits much longer before it says that.
async fn look<E>(reading: impl Future<Output = Result<Option<Message>, E>>, until: Instant) -> Option<Message> {
    timeout_at(until, reading).await.ok()?.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_does_not_answer_is_not_waited_for() {
        let until = Instant::now() + Duration::from_millis(10);
        assert_eq!(look(std::future::pending::<Result<_, ()>>(), until).await, None);
    }
}
