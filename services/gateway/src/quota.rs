//! How many of a thing are under way, in all and by tenant: WebSockets, uploads, downloads.

use prometheus::IntGauge;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use warren_domain::TenantId;

/// Counts what is under way. One tenant's do not use up the others' share.
pub(crate) struct Quota {
    counts: Arc<Mutex<Counts>>,
    most: usize,
    most_of_one: usize,
    gauge: IntGauge,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// The right to have one under way; given back when dropped.
pub(crate) struct Place {
    counts: Arc<Mutex<Counts>>,
    tenant: TenantId,
    gauge: IntGauge,
}

impl Quota {
    pub(crate) fn new(most: usize, most_of_one: usize, gauge: IntGauge) -> Self {
        Self { counts: Arc::default(), most, most_of_one, gauge }
    }

    /// A place for one more of a tenant, if there is one.
    pub(crate) fn take(&self, tenant: TenantId) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.by_tenant.get(&tenant).copied().unwrap_or_default();
        if counts.all >= self.most || own >= self.most_of_one {
            return None;
        }
        counts.all += 1;
        counts.by_tenant.insert(tenant, own + 1);
        self.gauge.inc();
        Some(Place { counts: Arc::clone(&self.counts), tenant, gauge: self.gauge.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let own = counts.by_tenant.get(&self.tenant).copied().unwrap_or_default().saturating_sub(1);
        if own == 0 {
            counts.by_tenant.remove(&self.tenant);
        } else {
            counts.by_tenant.insert(self.tenant, own);
        }
        self.gauge.dec();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_does_not_take_all() {
        let quota = Quota::new(3, 2, IntGauge::new("x", "x").unwrap());
        let (one, other) = (TenantId::generate(), TenantId::generate());
        let first = quota.take(one).unwrap();
        let _second = quota.take(one).unwrap();
        assert!(quota.take(one).is_none());
        let _others = quota.take(other).unwrap();
        assert!(quota.take(other).is_none(), "full");
        drop(first);
        assert!(quota.take(one).is_some());
        assert_eq!(quota.gauge.get(), 2);
    }
}
