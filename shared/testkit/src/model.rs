//! What the API shows, as far as tests look at it.

use serde::Deserialize;
use serde_json::Value;

/// An instance.
#[derive(Debug, Clone, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is doing.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Its number, once paired.
    pub phone: Option<String>,
    /// Its address, once paired.
    pub jid: Option<String>,
    /// Its measured health.
    pub health: Value,
}

/// A pairing.
#[derive(Debug, Clone, Deserialize)]
pub struct Pairing {
    /// How far it is.
    pub state: String,
    /// The text of the QR code to scan.
    pub qr: Option<String>,
    /// The code to type on the phone.
    pub code: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// Until when the code is good.
    pub expires_at: Option<String>,
}

/// A message.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub instance_id: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// How far it is.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The chat's address.
    pub chat: String,
    /// The text, for a text.
    pub text: Option<Value>,
}

impl Message {
    /// The text's body; empty for anything else.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text.as_ref().and_then(|text| text.get("body")).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An event.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its place among the instance's events; `None` for an ephemeral one.
    pub seq: Option<i64>,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// To which instance.
    pub instance_id: String,
    /// Where the log goes on after it; `None` for an ephemeral one.
    pub cursor: Option<String>,
    /// The particulars.
    pub data: Value,
}

impl Event {
    /// A text of the particulars; empty if there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is a received message with this body.
    #[must_use]
    pub fn is_text(&self, body: &str) -> bool {
        self.kind == "message.received" && self.text("/text/body") == body
    }

    /// Whether it says that the message with this id reached this status.
    #[must_use]
    pub fn is_status(&self, message: &str, status: &str) -> bool {
        self.kind == "message.status" && self.text("/message_id") == message && self.text("/status") == status
    }
}
