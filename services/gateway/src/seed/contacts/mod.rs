//! Contacts: the people with whom the account exchanged messages. As a list in pages, as a file, and one by one.
//!
//! The seed lists what its library gathered: the phone's address book, and the names of whoever wrote. Here it is whom the
//! account knows, by the name in the latest message.

pub(super) mod detail;
pub(super) mod export;
pub(super) mod list;

use super::Seed;
use crate::{
    problem::Problem,
    v1::{LIST_MOST, contacts::list::stretch},
};
use serde::Serialize;
use warren_domain::Instance;
use warren_ports::ledger::Contact;

/// So many are looked at, by address.
const MOST: usize = 50_000;

/// A contact as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    jid: String,
    phone_number: String,
    name: String,
    is_group: bool,
    #[serde(rename = "isLID", skip_serializing_if = "std::ops::Not::not")]
    is_lid: bool,
}

impl From<Contact> for View {
    fn from(contact: Contact) -> Self {
        let number = number(&contact.address).to_owned();
        // As in the seed: who has no name is called by his number.
        let user = contact.address.split('@').next().unwrap_or_default().to_owned();
        let name = contact.name.filter(|name| !name.is_empty()).unwrap_or(user);
        Self { is_lid: number.is_empty(), phone_number: number, name, is_group: false, jid: contact.address }
    }
}

/// The number of an address; empty if it hides one.
fn number(address: &str) -> &str {
    address.strip_suffix("@s.whatsapp.net").unwrap_or_default()
}

/// Hands out the contacts of an instance in order, a stretch at a time.
async fn each(seed: &Seed, instance: &Instance, mut take: impl FnMut(View)) -> Result<(), Problem> {
    let mut after: Option<String> = None;
    let mut left = MOST;
    while left > 0 {
        let contacts = stretch(&seed.app, instance, after.as_deref(), LIST_MOST).await?;
        let is_last = contacts.len() < LIST_MOST as usize;
        after = contacts.last().map(|contact| contact.address.clone());
        for contact in contacts.into_iter().take(left) {
            left -= 1;
            take(contact.into());
        }
        if is_last {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_contact_is_shown_by_its_number_and_name() {
        let view = |address: &str, name: Option<&str>| {
            json!(View::from(Contact { address: address.to_owned(), name: name.map(str::to_owned) }))
        };
        let siti = json!({"jid": "62811@s.whatsapp.net", "phoneNumber": "62811", "name": "Siti", "isGroup": false});
        assert_eq!(view("62811@s.whatsapp.net", Some("Siti")), siti);
        assert_eq!(view("62811@s.whatsapp.net", None).get("name"), Some(&json!("62811")));
        let hidden = json!({"jid": "77@lid", "phoneNumber": "", "name": "77", "isGroup": false, "isLID": true});
        assert_eq!(view("77@lid", None), hidden);
    }
}
