//! Rings of tenants' logs: one listener a tenant, however many webhooks it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use warren_domain::TenantId;
use warren_ports::bus::{Bus, Ring, Topic};
use warren_runtime::Lifecycle;

/// The tenants that are listened to.
pub(crate) struct Bells {
    bus: Arc<dyn Bus>,
    lifecycle: Lifecycle,
    open: Arc<Mutex<HashMap<TenantId, watch::Sender<()>>>>,
}

impl Bells {
    pub(crate) fn new(bus: Arc<dyn Bus>, lifecycle: Lifecycle) -> Self {
        Self { bus, lifecycle, open: Arc::default() }
    }

    /// The bell of a tenant: changes whenever its log was rung, however many rings come at once. Whoever listens looks once
    /// before, because rings are heard only once the bus listens.
    pub(crate) fn of(&self, tenant: TenantId) -> watch::Receiver<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = open.get(&tenant) {
            return bell.subscribe();
        }
        let (bell, receiver) = watch::channel(());
        open.insert(tenant, bell.clone());
        let (bus, all) = (Arc::clone(&self.bus), Arc::clone(&self.open));
        self.lifecycle.spawn(async move {
            tokio::select! {
                () = hear(&*bus, tenant, &bell) => {}
                () = nobody_listens(tenant, &bell, &all) => {}
            }
        });
        receiver
    }
}

async fn hear(bus: &dyn Bus, tenant: TenantId, bell: &watch::Sender<()>) {
    let mut listener = bus.listen(Topic::Log(tenant)).await;
    // What was written before anybody listened.
    bell.send_replace(());
    while let Some(ring) = listener.next().await {
        // What is not stored is not posted.
        if !matches!(ring, Ring::Ephemeral(_)) {
            bell.send_replace(());
        }
    }
    // The bus is closed: the sweep goes on.
    std::future::pending::<()>().await;
}

/// Resolves once nobody listens any more; then the bell is off the list.
async fn nobody_listens(tenant: TenantId, bell: &watch::Sender<()>, all: &Mutex<HashMap<TenantId, watch::Sender<()>>>) {
    loop {
        bell.closed().await;
        let mut open = all.lock().unwrap_or_else(PoisonError::into_inner);
        if bell.receiver_count() == 0 {
            open.remove(&tenant);
            return;
        }
    }
}
