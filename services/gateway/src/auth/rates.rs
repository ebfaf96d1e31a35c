//! How many requests a second a tenant may make: counted by all gateways together.

use crate::problem::{Problem, Result};
use moka::future::Cache;
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use warren_domain::{ErrorKind, TenantId};
use warren_ports::{
    ledger::EdgeLedger,
    limiter::{Limiter, Rate, Verdict},
};

/// How long a tenant's limit is remembered: a new one holds everywhere after so long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Tenants whose limits are remembered.
const TENANTS: u64 = 50_000;

/// The rates of tenants.
pub(crate) struct Rates {
    limiter: Arc<dyn Limiter>,
    ledger: Arc<dyn EdgeLedger>,
    /// 0: any rate.
    of_others: u32,
    limits: Cache<TenantId, Option<u32>>,
}

impl Rates {
    pub(crate) fn new(limiter: Arc<dyn Limiter>, ledger: Arc<dyn EdgeLedger>, of_others: u32) -> Self {
        let limits = Cache::builder().max_capacity(TENANTS).time_to_live(REMEMBERED).build();
        Self { limiter, ledger, of_others, limits }
    }

    /// Counts a request of the tenant, or refuses it.
    pub(crate) async fn take(&self, tenant: TenantId) -> Result<()> {
        let Some(per_second) = NonZeroU32::new(self.limit(tenant).await) else { return Ok(()) };
        let rate = Rate::per_second(per_second, per_second);
        match self.limiter.take(&format!("tenant:{tenant}"), rate).await {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Limited { retry_after } => Err(Problem::new(
                ErrorKind::Exhausted,
                "rate_limited",
                "This tenant makes more requests than it may; slow down.",
            )
            .with("requests_per_second", per_second.get().into())
            .retry_in(retry_after)),
        }
    }

    /// The tenant's own limit, else everybody's. A store that does not answer lets nobody wait: everybody's.
    async fn limit(&self, tenant: TenantId) -> u32 {
        let known = self.limits.try_get_with(tenant, async {
            self.ledger.tenant(tenant).await.map(|found| found.and_then(|found| found.limits.requests_per_second))
        });
        known.await.ok().flatten().unwrap_or(self.of_others)
    }

    /// Forgets a tenant's limit, so that this gateway knows the new one at once.
    pub(crate) async fn forget(&self, tenant: TenantId) {
        self.limits.invalidate(&tenant).await;
    }
}
