//! A look at an instance's proxy: beside everything else, bounded in number and time.

use super::actor::Actor;
use crate::{
    shared::Shared,
    transport::{ProxyError, Route},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};
use warren_domain::{InstanceId, Result, proxy::Proxy};
use warren_ports::bus::{ProxyCheck, Refusal, RefusalKind, Reply};

/// How long a look takes at most. Shorter than the edge waits.
const LONGEST: Duration = Duration::from_secs(6);

impl Actor {
    /// Looks at the proxy, as it is stored now; the answer goes to whoever asked.
    pub(super) fn check_proxy(&self, reply: oneshot::Sender<Reply>) {
        let Ok(permit) = self.shared.proxy_checks.clone().try_acquire_owned() else {
            let full =
                Refusal::new(RefusalKind::Exhausted, "too_many_checks", "Too many proxies are being checked; try again.");
            let _ = reply.send(Reply::Refused(full));
            return;
        };
        let (shared, instance) = (self.shared.clone(), self.instance.id);
        tokio::spawn(async move {
            let _ = reply.send(look(&shared, instance).await);
            drop(permit);
        });
    }
}

async fn look(shared: &Arc<Shared>, instance: InstanceId) -> Reply {
    match stored(shared, instance).await {
        Ok(Some(proxy)) => Reply::Proxy(check(shared, proxy).await),
        Ok(None) => Reply::Refused(Refusal::conflict("no_proxy", "This instance has no proxy; give it one by PATCH.")),
        Err(_) => {
            Reply::Refused(Refusal::new(RefusalKind::Unknown, "no_answer", "The proxy could not be looked at; try again."))
        }
    }
}

async fn stored(shared: &Shared, instance: InstanceId) -> Result<Option<Proxy>> {
    Ok(shared.ports.ledger.owned_instance(instance).await?.and_then(|instance| instance.proxy))
}

async fn check(shared: &Shared, proxy: Proxy) -> ProxyCheck {
    let route = Route { guard: shared.ports.egress.clone(), proxy };
    let began = Instant::now();
    let checked = timeout(LONGEST, shared.dialer.check(&route)).await.unwrap_or(Err(ProxyError::TimedOut));
    let took_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    ProxyCheck { reason: checked.err().map(|error| error.to_string()), took_ms }
}
