//! Asks about people, and about what the account shows of itself.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What can be asked about people, and about what the account shows of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactAsk {
    /// Which numbers have an account.
    Check {
        /// E.164 digits: 1 to [`ContactAsk::NUMBERS`].
        phones: Vec<String>,
    },
    /// What a contact shows of itself.
    Card {
        /// Its address.
        contact: String,
    },
    /// A contact's other address: the hidden one of a number, the number of a hidden one.
    Names {
        /// Its address.
        contact: String,
    },
    /// Where a contact's picture is.
    Picture {
        /// Its address.
        contact: String,
        /// The small one.
        preview: bool,
    },
    /// To be told when a contact comes and leaves. Ends with the connection.
    Subscribe {
        /// Its address.
        contact: String,
    },
    /// Shows the account as there, or not.
    Presence {
        /// Whether it is there.
        available: bool,
    },
    /// Changes what the account shows of itself.
    Profile {
        /// Its name.
        push_name: Option<String>,
        /// What it says about itself; empty for nothing.
        about: Option<String>,
    },
}

impl ContactAsk {
    /// Numbers in one check.
    pub const NUMBERS: usize = 50;
}

impl fmt::Debug for ContactAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check { .. } => "Check(..)",
            Self::Card { .. } => "Card(..)",
            Self::Names { .. } => "Names(..)",
            Self::Picture { .. } => "Picture(..)",
            Self::Subscribe { .. } => "Subscribe(..)",
            Self::Presence { .. } => "Presence(..)",
            Self::Profile { .. } => "Profile(..)",
        })
    }
}

/// What a contact shows of itself to this account. What it hides is `None`, like what it does not have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Both its addresses.
    pub names: Names,
    /// What it says about itself.
    pub about: Option<String>,
    /// Its picture's id, another one with each picture.
    pub picture_id: Option<String>,
    /// Whether it is a business.
    pub is_business: bool,
    /// The name of the business that WhatsApp verified.
    pub verified_name: Option<String>,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(..)")
    }
}

/// Both addresses of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Address by phone number, if known.
    pub pn: Option<String>,
    /// Hidden address, if known.
    pub lid: Option<String>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names(..)")
    }
}

/// Where a picture is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Another one with each picture.
    pub id: String,
    /// Its address at WhatsApp, good for some hours.
    pub url: String,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Picture(..)")
    }
}
