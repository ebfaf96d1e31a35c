//! A row as WhatsApp's message. Deterministic: every encryption of a row, and every answer to a retry request, carries
//! the same content and the same secret.

use super::attachment;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, ExtendedTextMessage, LocationMessage, ProtocolMessage, ReactionMessage,
    protocol_message::Type,
};
use warren_domain::Timestamp;
use warren_domain::message::{Contact, Content, Location, Outbound, Quoted, Target, Text};

/// The message of a row, with the part that describes its file if it has one; `None` for content that cannot be sent, or
/// whose file is missing.
pub(crate) fn message(row: &Outbound, file: Option<wa::Message>) -> Option<wa::Message> {
    let context = Context { chat: &row.message.chat, quoted: row.message.quoted.as_ref(), at: row.message.times.created };
    let content = &row.message.content;
    let mut message = match content.attachment() {
        Some((kind, attachment)) => attachment::message(kind, attachment, file?, context.info(&[])),
        None => body(content, context)?,
    };
    message.message_context_info =
        wa::MessageContextInfo { message_secret: Some(row.secret.to_vec()), ..Default::default() }.into();
    Some(message)
}

/// The encoded message of a row, as the library keeps it for retries.
pub(crate) fn encode(row: &Outbound, file: Option<wa::Message>) -> Option<Vec<u8>> {
    message(row, file).map(|message| waproto::codec::message_to_vec(&message))
}

/// What a content needs of its row.
#[derive(Clone, Copy)]
struct Context<'a> {
    chat: &'a str,
    quoted: Option<&'a Quoted>,
    at: Timestamp,
}

impl Context<'_> {
    /// What a message carries beside its content; `None` if that is nothing.
    fn info(self, mentions: &[String]) -> Option<wa::ContextInfo> {
        if self.quoted.is_none() && mentions.is_empty() {
            return None;
        }
        let mut info = wa::ContextInfo { mentioned_jid: mentions.to_vec(), ..Default::default() };
        if let Some(quoted) = self.quoted {
            let plain = Self { quoted: None, ..self };
            let message = quoted.content.as_ref().and_then(|content| recalled(content, plain)).unwrap_or_default();
            info.stanza_id = Some(quoted.whatsapp_id.clone());
            info.participant = Some(quoted.author.clone());
            info.quoted_message = MessageField::from_box(Box::new(message));
        }
        Some(info)
    }
}

/// A message that is answered: of its file the recipient sees the kind and the words under it.
fn recalled(content: &Content, context: Context<'_>) -> Option<wa::Message> {
    match content.attachment() {
        Some((kind, attachment)) => Some(attachment::message(kind, attachment, wa::Message::default(), None)),
        None => body(content, context),
    }
}

fn body(content: &Content, context: Context<'_>) -> Option<wa::Message> {
    Some(match content {
        Content::Text { text } => text_message(text, context),
        Content::Location { location } => {
            wa::Message { location_message: location_message(location, context).into(), ..Default::default() }
        }
        Content::Contacts { contacts } => contacts_message(contacts, context)?,
        Content::Reaction { reaction } => wa::Message {
            reaction_message: ReactionMessage {
                key: key(&reaction.target, context.chat).into(),
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(context.at.as_millis()),
                ..Default::default()
            }
            .into(),
            ..Default::default()
        },
        Content::Edit { edit } => {
            let new = text_message(&Text { body: edit.body.clone(), ..Text::default() }, context);
            protocol(ProtocolMessage {
                key: key(&edit.target, context.chat).into(),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::from_box(Box::new(new)),
                timestamp_ms: Some(context.at.as_millis()),
                ..Default::default()
            })
        }
        Content::Revoke { revoke } => protocol(ProtocolMessage {
            key: key(revoke, context.chat).into(),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        }),
        Content::Image { .. }
        | Content::Video { .. }
        | Content::Audio { .. }
        | Content::Document { .. }
        | Content::Sticker { .. }
        | Content::Unsupported => return None,
    })
}

fn protocol(message: ProtocolMessage) -> wa::Message {
    wa::Message { protocol_message: message.into(), ..Default::default() }
}

/// The name of another message in this chat.
fn key(target: &Target, chat: &str) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(chat.to_owned()),
        from_me: Some(target.from_me),
        id: Some(target.whatsapp_id.clone()),
        participant: target.author.clone(),
    }
}

fn text_message(text: &Text, context: Context<'_>) -> wa::Message {
    match context.info(&text.mentions) {
        None => wa::Message { conversation: Some(text.body.clone()), ..Default::default() },
        Some(info) => wa::Message {
            extended_text_message: ExtendedTextMessage {
                text: Some(text.body.clone()),
                context_info: info.into(),
                ..Default::default()
            }
            .into(),
            ..Default::default()
        },
    }
}

fn location_message(location: &Location, context: Context<'_>) -> LocationMessage {
    LocationMessage {
        degrees_latitude: Some(location.latitude),
        degrees_longitude: Some(location.longitude),
        name: location.name.clone(),
        address: location.address.clone(),
        context_info: context.info(&[]).map_or_else(MessageField::none, MessageField::some),
        ..Default::default()
    }
}

fn contacts_message(contacts: &[Contact], context: Context<'_>) -> Option<wa::Message> {
    let mut cards: Vec<_> = contacts.iter().map(contact_message).collect();
    let info = context.info(&[]).map_or_else(MessageField::none, MessageField::some);
    if cards.len() > 1 {
        let display_name = Some(format!("{} contacts", cards.len()));
        let array = ContactsArrayMessage { display_name, contacts: cards, context_info: info };
        return Some(wa::Message { contacts_array_message: array.into(), ..Default::default() });
    }
    let card = ContactMessage { context_info: info, ..cards.pop()? };
    Some(wa::Message { contact_message: card.into(), ..Default::default() })
}

fn contact_message(contact: &Contact) -> ContactMessage {
    let vcard = contact.vcard.clone().unwrap_or_else(|| vcard(contact));
    ContactMessage { display_name: Some(contact.name.clone()), vcard: Some(vcard), ..Default::default() }
}

/// A card as phones write it; `waid` is what makes a number a button that opens the chat.
fn vcard(contact: &Contact) -> String {
    let name = escaped(&contact.name);
    let mut card = format!("BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\n");
    for phone in &contact.phones {
        let digits = phone.trim_start_matches('+');
        card.push_str(&format!("TEL;type=CELL;waid={digits}:+{digits}\n"));
    }
    card.push_str("END:VCARD");
    card
}

/// RFC 2426, 5.8.4: these end a value, or begin another line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ',' | ';' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\r' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_lines_to_its_card() {
        let contact = Contact { name: "A;B,\\\nTEL:+666".into(), phones: vec!["+628123".into(), "44".into()], vcard: None };
        assert_eq!(
            vcard(&contact),
            "BEGIN:VCARD\nVERSION:3.0\nN:;A\\;B\\,\\\\\\nTEL:+666;;;\nFN:A\\;B\\,\\\\\\nTEL:+666\n\
             TEL;type=CELL;waid=628123:+628123\nTEL;type=CELL;waid=44:+44\nEND:VCARD"
        );
    }
}
