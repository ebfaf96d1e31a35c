//! Linking an instance to an account, by a QR code that is scanned or by a code that is typed on the phone.

pub(crate) mod cancel;
pub(crate) mod image;
mod polling;
pub(crate) mod read;
pub(crate) mod start;

pub(crate) use polling::Polling;

use crate::{problem::Result, state::App};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{InstanceId, TenantId, Timestamp};
use warren_ports::bus::{Action, Pairing, PairingState, Reply};

/// A pairing as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pairing, examples(json!({
    "instance_id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
    "state": "waiting",
    "qr": "2@abcdefghijklmnopqrstuvwxyz,ABCDEFGH,IJKLMNOP,QRSTUVWX",
    "code": null,
    "expires_at": "2026-11-22T09:30:20.000Z",
    "reason": null
})))]
pub(crate) struct View {
    instance_id: InstanceId,
    state: PairingState,
    /// The text of the current QR code.
    qr: Option<String>,
    /// The code to type on the phone; `null` for a pairing by QR code.
    code: Option<String>,
    /// Until when the code is good; ask again then.
    expires_at: Option<Timestamp>,
    /// Why it failed.
    reason: Option<String>,
}

impl View {
    fn new(instance: InstanceId, pairing: Pairing) -> Self {
        Self {
            instance_id: instance,
            state: pairing.state,
            qr: pairing.qr,
            code: pairing.code,
            expires_at: pairing.expires_at,
            reason: pairing.reason,
        }
    }

    fn starting(instance: InstanceId) -> Self {
        Self::new(instance, in_state(PairingState::Starting))
    }
}

const fn in_state(state: PairingState) -> Pairing {
    Pairing { state, qr: None, code: None, expires_at: None, reason: None }
}

/// How the pairing of the tenant's instance stands.
async fn status(app: &App, tenant: TenantId, instance: InstanceId) -> Result<Pairing> {
    app.instance(tenant, instance).await?;
    app.polling.look(instance)?;
    match app.ask(tenant, instance, Action::PairingStatus).await? {
        Reply::Pairing(pairing) => Ok(pairing),
        _ => Ok(in_state(PairingState::None)),
    }
}
