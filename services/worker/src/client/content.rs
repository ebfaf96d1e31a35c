//! What a decrypted message says, as Warren keeps it.

use super::attachment;
use wacore::proto_helpers::MessageExt;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{ContactMessage, ProtocolMessage, protocol_message::Type};
use warren_domain::message::{Contact, Content, Edit, Location, Quoted, Reaction, Target, Text};

/// `None` for what is not a message to anybody: key distribution, protocol upkeep.
pub(super) fn read(message: &wa::Message) -> Option<Content> {
    let base = message.get_base_message();
    // History and some clients wrap an edit once more.
    let base = base.edited_message.as_option().and_then(|edited| edited.message.as_option()).unwrap_or(base);
    if let Some(protocol) = base.protocol_message.as_option() {
        return of_protocol(protocol);
    }
    if let Some(reaction) = base.reaction_message.as_option() {
        let target = target(reaction.key.as_option()?)?;
        let emoji = reaction.text.clone().unwrap_or_default();
        return Some(Content::Reaction { reaction: Reaction { target, emoji } });
    }
    if let Some(place) = base.location_message.as_option() {
        let location = Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: place.name.clone(),
            address: place.address.clone(),
        };
        return Some(Content::Location { location });
    }
    if let Some(card) = base.contact_message.as_option() {
        return Some(Content::Contacts { contacts: vec![contact(card)] });
    }
    if let Some(cards) = base.contacts_array_message.as_option() {
        return Some(Content::Contacts { contacts: cards.contacts.iter().map(contact).collect() });
    }
    if let Some(text) = text(base) {
        return Some(Content::Text { text });
    }
    if let Some(content) = attachment::read(base) {
        return Some(content);
    }
    (*base != key_distribution_only(base)).then_some(Content::Unsupported)
}

/// What the message answers.
pub(super) fn quoted(message: &wa::Message) -> Option<Quoted> {
    let context = context(message.get_base_message())?;
    Some(Quoted {
        message_id: None,
        whatsapp_id: context.stanza_id.clone()?,
        author: context.participant.clone().unwrap_or_default(),
        // A file in it is the other message's: here it has no id of its own.
        content: context.quoted_message.as_option().and_then(read).filter(|content| content.attachment().is_none()),
    })
}

fn of_protocol(protocol: &ProtocolMessage) -> Option<Content> {
    let target = || target(protocol.key.as_option()?);
    match protocol.r#type? {
        Type::REVOKE => Some(Content::Revoke { revoke: target()? }),
        Type::MESSAGE_EDIT => {
            let new = protocol.edited_message.as_option()?;
            let Some(text) = text(new.get_base_message()) else { return Some(Content::Unsupported) };
            Some(Content::Edit { edit: Edit { target: target()?, body: text.body } })
        }
        _ => None,
    }
}

fn text(message: &wa::Message) -> Option<Text> {
    if let Some(body) = &message.conversation {
        return Some(Text { body: body.clone(), mentions: Vec::new() });
    }
    let extended = message.extended_text_message.as_option()?;
    let mentions = extended.context_info.as_option().map(|context| context.mentioned_jid.clone()).unwrap_or_default();
    Some(Text { body: extended.text.clone()?, mentions })
}

fn contact(card: &ContactMessage) -> Contact {
    Contact {
        name: card.display_name.clone().unwrap_or_default(),
        phones: card.vcard.as_deref().map(phones).unwrap_or_default(),
        vcard: card.vcard.clone(),
    }
}

/// The numbers of a card that are WhatsApp's (`waid`), without doubles.
fn phones(vcard: &str) -> Vec<String> {
    let mut phones: Vec<String> = Vec::new();
    for line in vcard.lines().filter(|line| line.to_ascii_uppercase().contains("TEL")) {
        let digits =
            line.split("waid=").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        if let Some(digits) = digits.filter(|digits| !digits.is_empty() && !phones.contains(digits)) {
            phones.push(digits);
        }
    }
    phones
}

/// Which message a reaction, an edit or a revocation is about.
fn target(key: &wa::MessageKey) -> Option<Target> {
    Some(Target {
        message_id: None,
        whatsapp_id: key.id.clone()?,
        from_me: key.from_me.unwrap_or_default(),
        author: key.participant.clone().filter(|author| !author.is_empty()),
    })
}

fn context(message: &wa::Message) -> Option<&wa::ContextInfo> {
    let of_text = message.extended_text_message.as_option().and_then(|text| text.context_info.as_option());
    let of_place = || message.location_message.as_option().and_then(|place| place.context_info.as_option());
    let of_card = || message.contact_message.as_option().and_then(|card| card.context_info.as_option());
    let of_cards = || message.contacts_array_message.as_option().and_then(|cards| cards.context_info.as_option());
    of_text.or_else(of_place).or_else(of_card).or_else(of_cards).or_else(|| attachment::context(message))
}

/// The message with nothing but what distributes keys.
fn key_distribution_only(message: &wa::Message) -> wa::Message {
    wa::Message {
        sender_key_distribution_message: message.sender_key_distribution_message.clone(),
        message_context_info: message.message_context_info.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_card_are_whatsapps() {
        let card = "BEGIN:VCARD\nTEL;type=CELL;waid=628123:+62 812-3\nitem1.TEL;waid=628123:x\nTEL:+1 555\nEND:VCARD";
        assert_eq!(phones(card), ["628123"]);
    }

    #[test]
    fn upkeep_is_no_message() {
        assert_eq!(read(&wa::Message::default()), None);
        let upkeep = ProtocolMessage { r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE), ..Default::default() };
        assert_eq!(read(&wa::Message { protocol_message: upkeep.into(), ..Default::default() }), None);
    }
}
