//! Pairing, by a QR code that is scanned or by a code that is typed: from the request to the phone's consent.

use super::actor::{Actor, Intent};
use serde_json::json;
use std::{
    collections::VecDeque,
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
    bus::{Ephemeral, Pairing, PairingState, PhoneToPair, Ring, Topic},
    ledger::Op,
};

/// So many pairings by a typed code may begin in this time.
const CODES_LIMIT: usize = 5;
const CODES_WINDOW: Duration = Duration::from_mins(10);

/// A pairing under way, or how the last one ended.
pub(super) struct PairingProgress {
    pub(super) status: Pairing,
    /// When it ends if the phone does not take a code.
    pub(super) deadline: Instant,
    /// Which phone's owner types the code; `None`: the code is scanned.
    pub(super) by_code: Option<PhoneToPair>,
    /// Whether the first login after it is still to come. Until then it is not known whether WhatsApp heard our answer.
    pub(super) awaits_login: bool,
    /// When pairings by a typed code were begun.
    begun: VecDeque<Instant>,
}

impl PairingProgress {
    pub(super) fn none() -> Self {
        Self {
            status: in_state(PairingState::None, None),
            deadline: Instant::now(),
            by_code: None,
            awaits_login: false,
            begun: VecDeque::new(),
        }
    }

    fn become_state(&mut self, state: PairingState, reason: Option<&str>) {
        self.status = in_state(state, reason);
    }

    /// Whether another pairing by a typed code may begin: WhatsApp limits how often codes are asked for a number.
    pub(super) fn may_ask_for_code(&self) -> bool {
        let recent = self.begun.iter().filter(|at| at.elapsed() < CODES_WINDOW);
        recent.count() < CODES_LIMIT
    }

    fn note_begun(&mut self) {
        self.begun.retain(|at| at.elapsed() < CODES_WINDOW);
        self.begun.push_back(Instant::now());
    }
}

fn in_state(state: PairingState, reason: Option<&str>) -> Pairing {
    Pairing { state, qr: None, code: None, expires_at: None, reason: reason.map(str::to_owned) }
}

/// A code as phones show the field for it: `XXXX-XXXX`.
fn dashed(code: &str) -> String {
    match code.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        _ => code.to_owned(),
    }
}

impl Actor {
    /// Begins a pairing: the next connection shows codes.
    pub(super) async fn begin_pairing(&mut self, by_code: Option<PhoneToPair>) -> Result<()> {
        self.set_state(InstanceState::Pairing, None).await?;
        self.pairing.become_state(PairingState::Starting, None);
        if by_code.is_some() {
            self.pairing.note_begun();
        }
        self.pairing.by_code = by_code;
        self.pairing.deadline = Instant::now() + Duration::from_secs(self.shared.options.pairing_deadline_s);
        self.intent = Intent::Pair;
        self.failures.forget();
        Ok(())
    }

    /// Shows a code to type. A later one replaces it and says so.
    pub(super) fn show_typed_code(&mut self, code: &str, valid_for: Duration) {
        let code = dashed(code);
        let expires_at = self.now().after(valid_for);
        let replaces = self.pairing.status.code.is_some();
        let data = json!({"code": code, "expires_at": expires_at, "replaces_previous": replaces});
        self.pairing.status =
            Pairing { code: Some(code), expires_at: Some(expires_at), ..in_state(PairingState::Waiting, None) };
        self.announce(EventType::PairingCode, data);
    }

    /// Shows a code to whoever listens and whoever asks. A later one replaces it and says so.
    pub(super) fn show_code(&mut self, code: String, valid_for: Duration) {
        let replaces = self.pairing.status.qr.is_some();
        let expires_at = self.now().after(valid_for);
        let data = json!({"qr": code, "expires_at": expires_at, "replaces_previous": replaces});
        self.pairing.status =
            Pairing { qr: Some(code), expires_at: Some(expires_at), ..in_state(PairingState::Waiting, None) };
        self.announce(EventType::PairingQr, data);
    }

    /// Tells whoever listens now.
    pub(super) fn announce(&self, kind: EventType, data: serde_json::Value) {
        let event = Ephemeral {
            kind,
            tenant: self.instance.tenant,
            instance: self.instance.id,
            occurred_at: self.now(),
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
        self.pairing.awaits_login = true;
        self.intent = Intent::Online;
        self.failures.forget();
        Ok(())
    }

    /// Ends a pairing without success. What it left of a session is forgotten.
    pub(super) async fn end_pairing(&mut self, state: PairingState, reason: &'static str) -> Result<()> {
        self.intent = Intent::Rest;
        self.pairing.become_state(state, Some(reason));
        self.pairing.awaits_login = false;
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
