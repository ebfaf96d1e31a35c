//! Whom an account gets to know by a message that came in.

use crate::{Message, Person, Recipient};

/// An address of a person whom an account knows from a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Met<'a> {
    /// The address.
    pub address: &'a str,
    /// The name that its person has in this message.
    pub name: Option<&'a str>,
    /// Of a hidden address, the one by number of the same person, where it is known.
    pub pn: Option<&'a str>,
}

impl Message {
    /// Whom its instance knows from this message that came in: who is in the chat with it, and who wrote, under each of his
    /// addresses. Nobody from a group.
    pub fn acquaintances(&self) -> impl Iterator<Item = Met<'_>> {
        let author = self.author.as_ref();
        let others = [author.and_then(|person| person.pn.as_deref()), author.and_then(|person| person.lid.as_deref())];
        let others = others.into_iter().flatten().filter(|address| *address != self.chat);
        let addresses = std::iter::once(self.chat.as_str()).chain(others).filter(|address| Recipient::is_person(address));
        let is_in_a_group = Recipient::is_group(&self.chat);
        addresses.filter(move |_| !is_in_a_group).map(move |address| met(address, author))
    }
}

/// What a message's author says of an address: nothing, if it is not his own.
fn met<'a>(address: &'a str, author: Option<&'a Person>) -> Met<'a> {
    let is_his = |person: &&Person| {
        [Some(&person.jid), person.pn.as_ref(), person.lid.as_ref()].into_iter().flatten().any(|own| own == address)
    };
    let person = author.filter(is_his);
    Met {
        address,
        name: person.and_then(|person| person.push_name.as_deref()),
        pn: person.and_then(|person| person.pn.as_deref()).filter(|pn| *pn != address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Delivery, Direction, InstanceId, MessageId, MessageStatus, TenantId,
        content::{Content, Text},
        message::Times,
    };

    fn message(chat: &str, jid: &str, pn: &str, lid: &str) -> Message {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Message {
            id: MessageId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            instance: InstanceId::from_bytes([3; 16]),
            direction: Direction::Inbound,
            whatsapp_id: "3EB0".into(),
            chat: chat.into(),
            author: Some(Person { jid: jid.into(), pn: text(pn), lid: text(lid), push_name: text("Siti") }),
            content: Content::Text { text: Text { body: "x".into(), ..Text::default() } },
            quoted: None,
            status: MessageStatus::Delivered,
            reason: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: serde_json::Map::new(),
            backfilled: false,
            times: Times::default(),
        }
    }

    fn of(chat: &str, jid: &str, pn: &str, lid: &str) -> Vec<String> {
        let told = |met: Met<'_>| format!("{} {:?} {:?}", met.address, met.name, met.pn);
        message(chat, jid, pn, lid).acquaintances().map(told).collect()
    }

    #[test]
    fn a_person_is_known_under_both_addresses() {
        let number = r#"62811@s.whatsapp.net Some("Siti") None"#;
        let hidden = r#"7@lid Some("Siti") Some("62811@s.whatsapp.net")"#;
        assert_eq!(of("7@lid", "7@lid", "62811@s.whatsapp.net", "7@lid"), [hidden, number]);
        let (pn, lid) = ("62811@s.whatsapp.net", "7@lid");
        assert_eq!(of(pn, pn, pn, lid), [number, hidden]);
        assert_eq!(of("7@lid", "7@lid", "", "7@lid"), [r#"7@lid Some("Siti") None"#]);
    }

    #[test]
    fn what_the_account_wrote_itself_names_nobody_else() {
        let own = "62822@s.whatsapp.net";
        let (chat, itself) = ("62811@s.whatsapp.net None None", r#"62822@s.whatsapp.net Some("Siti") None"#);
        assert_eq!(of("62811@s.whatsapp.net", own, own, ""), [chat, itself]);
    }

    #[test]
    fn a_group_introduces_nobody() {
        assert!(of("1@g.us", "7@lid", "62811@s.whatsapp.net", "7@lid").is_empty());
    }
}
