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
use utoipa::ToSchema;
use warren_domain::{Health, Instance, InstanceId, InstanceState, Restriction, Timestamp};

/// An instance as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
    "name": "Support",
    "state": "online",
    "reason": null,
    "since": "2026-11-22T09:30:00.000Z",
    "phone": "628111111111",
    "jid": "628111111111:5@s.whatsapp.net",
    "lid": "77000011112222:5@lid",
    "push_name": "Acme Support",
    "health": {"status": "ok", "reason": null, "last_stanza_at": "2026-11-22T09:29:58.000Z", "rtt_ms": 38},
    "restriction": null,
    "metadata": {"branch": "north"},
    "created_at": "2026-11-20T08:00:00.000Z"
})))]
pub(crate) struct View {
    id: InstanceId,
    name: Option<String>,
    state: InstanceState,
    /// Why it is in this state, where there is a reason.
    reason: Option<String>,
    /// Since when it is in this state.
    since: Timestamp,
    /// The number of the account, digits only; known from the first pairing on.
    phone: Option<String>,
    /// The address of this device by phone number.
    jid: Option<String>,
    /// The hidden address of this device.
    lid: Option<String>,
    /// The name that the account shows.
    push_name: Option<String>,
    health: Health,
    /// What the account may not send for a time; it waits in the queue.
    restriction: Option<Restriction>,
    /// Your own data.
    #[schema(value_type = Object)]
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
            restriction: instance.restriction,
            metadata: instance.metadata,
            created_at: instance.created_at,
            device_name: instance.device_name,
            proxy: instance.proxy.as_ref().map(ProxyView::from),
        }
    }
}
