//! People as WhatsApp names them.

use serde::{Deserialize, Serialize};

/// A person: `pn` is the address by phone number, `lid` the address that hides it; `jid` is the one WhatsApp used here.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// The address in use, such as `628123@s.whatsapp.net` or `123@lid`.
    pub jid: String,
    /// Address by phone number, if known.
    pub pn: Option<String>,
    /// Hidden address, if known.
    pub lid: Option<String>,
    /// The name that the person chose to show, if known.
    pub push_name: Option<String>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A person must never reach a log by accident.
        f.write_str("Person(..)")
    }
}
