//! Events of the log as the seed's frames: `{"event", "timestamp", "data"}`.

use crate::seed::instances::status_of;
use serde_json::{Map, Value, json};
use warren_domain::{
    EventType, InstanceId, InstanceState, Timestamp,
    seed::{MESSAGES, incoming_message},
};

/// What happens to instances.
pub(super) const GLOBAL: [EventType; 4] =
    [EventType::PairingQr, EventType::PairingSucceeded, EventType::PairingFailed, EventType::InstanceStateChanged];

/// Reasons with which an instance that was linked is not any more.
const UNLINKED: [&str; 3] = ["removed", "account_locked", "requested"];
/// Reasons of a lost connection that are told as errors, too.
const ERRORS: [&str; 2] = ["login_refused", "proxy_failed"];

/// Whether frames of this type name the number of the account.
pub(super) const fn names_a_number(kind: EventType) -> bool {
    matches!(kind, EventType::PairingQr | EventType::PairingFailed | EventType::InstanceStateChanged)
}

/// An event to be told.
pub(super) struct Told<'a> {
    pub(super) kind: EventType,
    pub(super) instance: InstanceId,
    pub(super) at: Timestamp,
    pub(super) data: &'a Map<String, Value>,
    /// The number of the account, where it is known.
    pub(super) phone: Option<String>,
}

impl Told<'_> {
    /// The frames that it makes: none, one or two.
    pub(super) fn frames(&self) -> Vec<String> {
        let frame = |(event, data): (&str, Value)| json!({"event": event, "timestamp": self.at, "data": data}).to_string();
        self.told().into_iter().map(frame).collect()
    }

    fn told(&self) -> Vec<(&'static str, Value)> {
        match self.kind {
            EventType::PairingQr => vec![("QR_GENERATED", self.code())],
            EventType::PairingSucceeded => {
                vec![("QR_SUCCESS", json!({"instance_id": self.instance, "status": "connected"}))]
            }
            EventType::PairingFailed => vec![self.pairing_failed()],
            EventType::InstanceStateChanged => self.state_changed(),
            kind if MESSAGES.contains(&kind) => {
                vec![("incoming_message", incoming_message(self.instance, self.at, self.data))]
            }
            _ => Vec::new(),
        }
    }

    fn code(&self) -> Value {
        self.with_number(json!({
            "instance_id": self.instance, "qr_data": self.data.get("qr"), "expires_at": self.data.get("expires_at"),
        }))
    }

    fn pairing_failed(&self) -> (&'static str, Value) {
        match self.text("reason") {
            "expired" => ("QR_TIMEOUT", json!({"instance_id": self.instance, "status": "timeout"})),
            reason => self.error(reason, "The pairing failed"),
        }
    }

    fn state_changed(&self) -> Vec<(&'static str, Value)> {
        let Some(state) = InstanceState::parse(self.text("state")) else { return Vec::new() };
        let reason = self.text("reason");
        match state {
            InstanceState::Online | InstanceState::Disconnected => vec![self.status(state)],
            // Without a reason it is being connected for the first time, or because somebody wished it.
            InstanceState::Connecting if reason.is_empty() => Vec::new(),
            InstanceState::Connecting if ERRORS.contains(&reason) => {
                vec![self.status(state), self.error(reason, "The connection failed")]
            }
            InstanceState::Connecting => vec![self.status(state)],
            InstanceState::Restricted | InstanceState::Quarantined => {
                vec![self.status(state), self.error(reason, "WhatsApp does not let the account connect")]
            }
            InstanceState::Created | InstanceState::LoggedOut if reason == "cancelled" => self.cancelled(),
            InstanceState::LoggedOut if UNLINKED.contains(&reason) => vec![self.status(state)],
            // How a pairing ended is told by an event of its own.
            InstanceState::Created | InstanceState::LoggedOut | InstanceState::Pairing => Vec::new(),
        }
    }

    /// What the seed sends, too: one event by the route, one by the end of what it cancelled.
    fn cancelled(&self) -> Vec<(&'static str, Value)> {
        let words = "User cancelled QR generation";
        vec![
            ("QR_CANCELLED", json!({"instance_id": self.instance, "status": "cancelled", "message": words})),
            ("QR_TIMEOUT", json!({"instance_id": self.instance, "status": "cancelled", "reason": "context canceled"})),
        ]
    }

    fn status(&self, state: InstanceState) -> (&'static str, Value) {
        let is_connected = state == InstanceState::Online;
        let since = if is_connected { "connected_at" } else { "disconnected_at" };
        let data = json!({
            "instance_id": self.instance,
            "status": status_of(state),
            "is_connected": is_connected,
            since: self.data.get("since"),
        });
        ("INSTANCE_STATUS_CHANGED", self.with_number(data))
    }

    /// With the fields that the seed sends and the ones that it declares.
    fn error(&self, reason: &str, words: &str) -> (&'static str, Value) {
        let message = format!("{words}: {reason}");
        let data = json!({
            "instance_id": self.instance, "error": message, "code": reason.to_ascii_uppercase(), "message": message,
        });
        ("INSTANCE_ERROR", self.with_number(data))
    }

    fn with_number(&self, mut data: Value) -> Value {
        if let (Some(phone), Some(members)) = (&self.phone, data.as_object_mut()) {
            members.insert("phone_number".into(), phone.as_str().into());
        }
        data
    }

    fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ID: InstanceId = InstanceId::from_bytes([7; 16]);

    fn told(kind: EventType, data: Value) -> Vec<Value> {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let phone = names_a_number(kind).then(|| "628111".to_owned());
        let told = Told { kind, instance: ID, at, data: data.as_object().unwrap(), phone };
        let frames: Vec<Value> = told.frames().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert!(frames.iter().all(|frame| frame.as_object().unwrap().len() == 3));
        assert!(frames.iter().all(|frame| frame.get("timestamp").unwrap() == "2026-09-21T14:13:20.000Z"));
        frames.into_iter().map(|frame| json!([frame.get("event"), frame.get("data")])).collect()
    }

    #[test]
    fn a_pairing_from_its_code_to_its_end() {
        let qr = json!({"qr": "2@x", "expires_at": "2026-09-21T14:14:20.000Z", "replaces_previous": false});
        let shown =
            json!({"instance_id": ID, "phone_number": "628111", "qr_data": "2@x", "expires_at": "2026-09-21T14:14:20.000Z"});
        assert_eq!(told(EventType::PairingQr, qr), [json!(["QR_GENERATED", shown])]);
        let success = json!(["QR_SUCCESS", {"instance_id": ID, "status": "connected"}]);
        assert_eq!(told(EventType::PairingSucceeded, json!({"phone": "628111"})), [success]);
        let timeout = json!(["QR_TIMEOUT", {"instance_id": ID, "status": "timeout"}]);
        assert_eq!(told(EventType::PairingFailed, json!({"reason": "expired"})), [timeout]);
        let words = "The pairing failed: refused";
        let error = json!({
            "instance_id": ID, "phone_number": "628111", "error": words, "code": "REFUSED", "message": words,
        });
        assert_eq!(told(EventType::PairingFailed, json!({"reason": "refused"})), [json!(["INSTANCE_ERROR", error])]);
        let cancelled = told(EventType::InstanceStateChanged, json!({"state": "created", "reason": "cancelled"}));
        let words = "User cancelled QR generation";
        assert_eq!(
            cancelled,
            [
                json!(["QR_CANCELLED", {"instance_id": ID, "status": "cancelled", "message": words}]),
                json!(["QR_TIMEOUT", {"instance_id": ID, "status": "cancelled", "reason": "context canceled"}]),
            ]
        );
    }

    #[test]
    fn a_state_is_told_when_it_means_something_to_the_seed() {
        let since = "2026-09-21T14:13:20.000Z";
        let of = |state: &str, reason: Option<&str>| {
            told(EventType::InstanceStateChanged, json!({"state": state, "reason": reason, "since": since}))
        };
        let changed = |status: &str, is_connected: bool, at: &str| {
            let data = json!({
                "instance_id": ID, "phone_number": "628111", "status": status, "is_connected": is_connected, at: since,
            });
            json!(["INSTANCE_STATUS_CHANGED", data])
        };
        assert_eq!(of("online", None), [changed("online", true, "connected_at")]);
        for reason in ["removed", "account_locked", "requested"] {
            assert_eq!(of("logged_out", Some(reason)), [changed("logged_out", false, "disconnected_at")]);
        }
        for (state, reason) in [("connecting", "connection_lost"), ("connecting", "restart"), ("disconnected", "requested")]
        {
            assert_eq!(of(state, Some(reason)), [changed("disconnected", false, "disconnected_at")]);
        }
        for (state, reason) in
            [("restricted", "temporary_ban"), ("quarantined", "replaced"), ("connecting", "login_refused")]
        {
            let frames = of(state, Some(reason));
            assert_eq!(frames.first(), Some(&changed("disconnected", false, "disconnected_at")));
            let error = frames.get(1).unwrap().to_string();
            assert!(error.contains("INSTANCE_ERROR") && error.contains(&reason.to_uppercase()), "{error}");
        }
        for (state, reason) in
            [("pairing", None), ("connecting", None), ("created", Some("expired")), ("logged_out", Some("expired"))]
        {
            assert!(of(state, reason).is_empty(), "{state} {reason:?}");
        }
    }

    #[test]
    fn every_message_is_told_the_accounts_own_too() {
        for kind in MESSAGES {
            let frames = told(kind, json!({"chat": "1@g.us", "whatsapp_id": "3EB0", "from_me": true}));
            let frame = frames.first().unwrap();
            assert_eq!(frame.pointer("/0"), Some(&json!("incoming_message")));
            assert_eq!(frame.pointer("/1/from_me"), Some(&json!(true)));
        }
    }
}
