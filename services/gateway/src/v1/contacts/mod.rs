//! People: which numbers have an account, what they show of themselves, who is there.

pub(crate) mod card;
pub(crate) mod check;
pub(crate) mod list;
pub(crate) mod numbers;
pub(crate) mod picture;
pub(crate) mod presence;
pub(crate) mod profile;

use crate::{
    problem::{Problem, Result},
    state::App,
};
use numbers::Wish;
use std::str::FromStr;
use warren_domain::{Error, ErrorKind, InstanceId, Recipient, TenantId};

/// A person, as callers write one in a path: a phone number, or an address.
pub(crate) enum Contact {
    /// E.164 digits.
    Phone(String),
    /// A hidden address.
    Lid(String),
}

impl FromStr for Contact {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match Recipient::person(text)? {
            Recipient::Phone(digits) => Ok(Self::Phone(digits)),
            address => Ok(Self::Lid(address.jid())),
        }
    }
}

/// The address that WhatsApp knows a contact by. A number is looked up, which counts as a check unless the answer is known.
async fn known_address(app: &App, tenant: TenantId, instance: InstanceId, contact: Contact) -> Result<String> {
    let phone = match contact {
        Contact::Phone(phone) => phone,
        Contact::Lid(address) => return Ok(address),
    };
    let checked = numbers::check(app, tenant, instance, std::slice::from_ref(&phone), Wish::Known).await?;
    match checked.get(&phone) {
        Some(check) => check.jid.clone().ok_or_else(not_on_whatsapp),
        None => {
            Err(Problem::new(ErrorKind::Timeout, "no_answer", "WhatsApp did not say anything of this number; try again."))
        }
    }
}

fn not_on_whatsapp() -> Problem {
    Problem::new(ErrorKind::NotFound, "not_on_whatsapp", "WhatsApp knows no account at this address.")
}
