//! A row as WhatsApp's message. Deterministic: every encryption of a row, and every answer to a retry request, carries
//! the same content and the same secret.

use waproto::whatsapp as wa;
use warren_domain::message::{Content, Outbound, Quoted};

/// The message of a row; `None` for content that this version cannot send.
pub(crate) fn message(row: &Outbound) -> Option<wa::Message> {
    let mut message = body(&row.message.content, row.message.quoted.as_ref())?;
    message.message_context_info =
        wa::MessageContextInfo { message_secret: Some(row.secret.to_vec()), ..Default::default() }.into();
    Some(message)
}

/// The encoded message of a row, as the library keeps it for retries.
pub(crate) fn encode(row: &Outbound) -> Option<Vec<u8>> {
    message(row).map(|message| waproto::codec::message_to_vec(&message))
}

fn body(content: &Content, quoted: Option<&Quoted>) -> Option<wa::Message> {
    match content {
        Content::Text { text } => Some(text_message(&text.body, quoted)),
        Content::Unsupported => None,
    }
}

fn text_message(text: &str, quoted: Option<&Quoted>) -> wa::Message {
    let Some(quoted) = quoted else {
        return wa::Message { conversation: Some(text.to_owned()), ..Default::default() };
    };
    let quoted_message = quoted.content.as_ref().and_then(|content| body(content, None)).unwrap_or_default();
    let context = wa::ContextInfo {
        stanza_id: Some(quoted.whatsapp_id.clone()),
        participant: Some(quoted.author.clone()),
        quoted_message: waproto::buffa::MessageField::from_box(Box::new(quoted_message)),
        ..Default::default()
    };
    wa::Message {
        extended_text_message: wa::message::ExtendedTextMessage {
            text: Some(text.to_owned()),
            context_info: context.into(),
            ..Default::default()
        }
        .into(),
        ..Default::default()
    }
}
