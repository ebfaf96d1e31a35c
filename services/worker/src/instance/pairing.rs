//! Pairing by QR code: from the request to the phone's scan.

use super::actor::{Actor, Intent};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use wacore_binary::Jid;
use warren_domain::{
    InstanceState, Result,
    event::{EventType, NewEvent},
    instance::Account,
};
use warren_ports::{
    bus::{Ephemeral, Pairing, PairingState, Ring, Topic},
    ledger::Op,
};

/// A pairing under way, or how the last one ended.
pub(super) struct PairingProgress {
    pub(super) status: Pairing,
    /// When it ends if nobody scans.
    pub(super) deadline: Instant,
}

impl PairingProgress {
    pub(super) fn none() -> Self {
        let status = Pairing { state: PairingState::None, qr: None, expires_at: None, reason: None };
        Self { status, deadline: Instant::now() }
    }

    fn become_state(&mut self, state: PairingState, reason: Option<&str>) {
        self.status = Pairing { state, qr: None, expires_at: None, reason: reason.map(str::to_owned) };
    }
}

impl Actor {
    /// Begins a pairing: the next connection shows codes.
    pub(super) async fn begin_pairing(&mut self) -> Result<()> {
        self.set_state(InstanceState::Pairing, None).await?;
        self.pairing.become_state(PairingState::Starting, None);
        self.pairing.deadline = Instant::now() + Duration::from_secs(self.shared.options.pairing_deadline_s);
        self.intent = Intent::Pair;
        self.failures = 0;
        Ok(())
    }

    /// Shows a code to whoever listens and whoever asks. A later one replaces it and says so.
    pub(super) fn show_code(&mut self, code: String, valid_for: Duration) {
        let now = self.now();
        let replaces = self.pairing.status.qr.is_some();
        let expires_at = now.after(valid_for);
        let data = json!({"qr": code, "expires_at": expires_at, "replaces_previous": replaces});
        self.pairing.status =
            Pairing { state: PairingState::Waiting, qr: Some(code), expires_at: Some(expires_at), reason: None };
        let event = Ephemeral {
            kind: EventType::PairingQr,
            tenant: self.instance.tenant,
            instance: self.instance.id,
            occurred_at: now,
            data: data.as_object().cloned().unwrap_or_default(),
        };
        self.shared.ports.bus.ring(Topic::Log(self.instance.tenant), Ring::Ephemeral(Arc::new(event)));
    }

    /// The phone accepted: the account is known. Called once the device's keys are stored.
    pub(super) async fn paired(&mut self, pn: &Jid, lid: &Jid, push_name: Option<String>) -> Result<()> {
        let account = Account {
            phone: pn.user.to_string(),
            jid: pn.to_string(),
            lid: Some(lid.to_string()).filter(|_| !lid.user.is_empty()),
            push_name,
        };
        self.set_account(account, true).await?;
        // Whatever held for the account that was linked before.
        self.set_restriction(None).await?;
        self.set_state(InstanceState::Connecting, None).await?;
        self.pairing.become_state(PairingState::Succeeded, None);
        self.intent = Intent::Online;
        self.failures = 0;
        Ok(())
    }

    /// Ends a pairing without success. What it left of a session is forgotten.
    pub(super) async fn end_pairing(&mut self, state: PairingState, reason: &'static str) -> Result<()> {
        self.intent = Intent::Rest;
        self.pairing.become_state(state, Some(reason));
        self.forget_records(None).await?;
        if state == PairingState::Failed {
            let data = json!({"reason": reason}).as_object().cloned().unwrap_or_default();
            self.commit(Op::Append(NewEvent::new(EventType::PairingFailed, self.now(), data))).await?;
        }
        // Back to what it was before: linked once, or never.
        let before = if self.instance.account.is_some() { InstanceState::LoggedOut } else { InstanceState::Created };
        self.set_state(before, Some(reason)).await
    }
}
