//! Instances: WhatsApp accounts linked here.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod proxy;
pub(crate) mod read;
pub(crate) mod transition;
pub(crate) mod update;

use proxy::ProxyView;
use serde::Serialize;
use serde_json::{Map, Value};
use warren_domain::{Health, Instance, InstanceId, InstanceState, Timestamp};

/// An instance as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    id: InstanceId,
    name: Option<String>,
    state: InstanceState,
    reason: Option<String>,
    since: Timestamp,
    phone: Option<String>,
    jid: Option<String>,
    lid: Option<String>,
    push_name: Option<String>,
    health: Health,
    metadata: Map<String, Value>,
    created_at: Timestamp,
    /// The name that phones show for it, from its next pairing on; `null` for the deployment's.
    device_name: Option<String>,
    /// The proxy through which it speaks to WhatsApp, without its credentials.
    proxy: Option<ProxyView>,
}

impl From<Instance> for View {
    fn from(instance: Instance) -> Self {
        let account = instance.account.unwrap_or_default();
        let known = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: instance.id,
            name: instance.name,
            state: instance.state,
            reason: instance.reason,
            since: instance.since,
            phone: known(account.phone),
            jid: known(account.jid),
            lid: account.lid,
            push_name: account.push_name,
            health: instance.health,
            metadata: instance.metadata,
            created_at: instance.created_at,
            device_name: instance.device_name,
            proxy: instance.proxy.as_ref().map(ProxyView::from),
        }
    }
}
