//! What a caller wants to send, checked and made a message.

use crate::{
    idempotency::Mutation,
    json::check_metadata,
    problem::{Problem, Result},
    state::App,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use warren_domain::{
    Delivery, InstanceId, Message, MessageId, Recipient, TenantId, Timestamp,
    message::{Content, Quoted, Text},
};
use warren_ports::ledger::NewMessage;
use warren_runtime::fault;

/// The longest text, characters: what WhatsApp's own clients take.
const TEXT_CHARACTERS: usize = 65_536;

/// The body of a send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    to: String,
    #[serde(rename = "type")]
    kind: String,
    text: Option<Text>,
    reply_to: Option<MessageId>,
    #[serde(default)]
    delivery: Delivery,
    /// A moment that has passed already is taken, too, and the message fails with `expired`: so a request that is repeated
    /// late gets the same answer.
    expires_at: Option<Timestamp>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Checks a send and makes the message that is to be accepted.
pub(super) async fn message(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    request: Mutation<Draft>,
) -> Result<NewMessage> {
    let Mutation { body: draft, key } = request;
    let chat = Recipient::parse(&draft.to).map_err(|error| Problem::from(error).with("field", "to".into()))?.jid();
    let content = content(&draft.kind, draft.text)?;
    check_metadata(&draft.metadata)?;
    let quoted = match draft.reply_to {
        Some(id) => Some(quoted(app, tenant, instance, id).await?),
        None => None,
    };
    Ok(NewMessage {
        id: MessageId::generate(),
        tenant,
        instance,
        whatsapp_id: whatsapp_id(),
        secret: rand::random(),
        chat,
        content,
        quoted,
        delivery: draft.delivery,
        expires_at: draft.expires_at,
        metadata: draft.metadata,
        created_at: app.now(),
        idempotency: key.filter(|_| !fault::mutation("idempotency_off")),
        queue_limit: app.options.queue_limit,
    })
}

fn content(kind: &str, text: Option<Text>) -> Result<Content> {
    if kind != "text" {
        return Err(
            Problem::invalid("unsupported_type", "Only messages of type text can be sent.").with("field", "type".into())
        );
    }
    let text = text.ok_or_else(|| Problem::field("text", "This field is required."))?;
    if text.body.chars().count() > TEXT_CHARACTERS {
        return Err(Problem::field("text.body", "A text has at most 65,536 characters."));
    }
    if text.body.contains('\0') {
        return Err(Problem::field("text.body", "A text cannot hold a NUL character."));
    }
    if !text.body.chars().any(is_visible) {
        return Err(Problem::field("text.body", "A text has at least one visible character."));
    }
    Ok(Content::Text { text })
}

/// Whether a character shows: not white space, no control, none of Unicode's Default_Ignorable_Code_Point.
fn is_visible(c: char) -> bool {
    let is_ignorable = matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF);
    !(is_ignorable || c.is_whitespace() || c.is_control())
}

/// What a reply refers to: a message of the same instance.
async fn quoted(app: &App, tenant: TenantId, instance: InstanceId, id: MessageId) -> Result<Quoted> {
    let found = app.ledger.message(tenant, id).await?.filter(|message| message.instance == instance);
    let message = found.ok_or_else(|| {
        Problem::invalid("unknown_reply_to", "reply_to is the id of a message of this instance.")
            .with("field", "reply_to".into())
    })?;
    let author = match &message.author {
        Some(person) => without_device(&person.jid),
        None => own_address(app, tenant, &message).await?,
    };
    Ok(Quoted { message_id: Some(id), whatsapp_id: message.whatsapp_id, author, content: Some(message.content) })
}

/// The instance's own address, of the kind that the chat uses.
async fn own_address(app: &App, tenant: TenantId, message: &Message) -> Result<String> {
    let account = app.instance(tenant, message.instance).await?.account.ok_or_else(not_paired)?;
    let lid = account.lid.filter(|_| message.chat.ends_with("@lid"));
    Ok(without_device(&lid.unwrap_or(account.jid)))
}

/// `628123:5@s.whatsapp.net` -> `628123@s.whatsapp.net`
fn without_device(address: &str) -> String {
    match address.split_once('@') {
        Some((user, server)) => format!("{}@{server}", user.split(':').next().unwrap_or_default()),
        None => address.to_owned(),
    }
}

/// A message id as WhatsApp's web client makes them: `3EB0` and 18 upper-case hex digits.
fn whatsapp_id() -> String {
    let random: [u8; 9] = rand::random();
    format!("3EB0{}", hex::encode_upper(random))
}

/// The answer when the instance is linked to no account.
pub(super) fn not_paired() -> Problem {
    Problem::new(
        warren_domain::ErrorKind::Conflict,
        "not_paired",
        "This instance is not linked to a WhatsApp account: pair it first.",
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Content> {
        content("text", Some(Text { body: body.to_owned() }))
    }

    #[test]
    fn a_text_shows_something_and_fits() {
        for body in ["x", "👍", "  .  ", "'; DROP TABLE messages; --", "{{7*7}}", "${jndi:ldap://x}", "\u{200d}é"] {
            assert!(of(body).is_ok(), "{body:?}");
        }
        for body in ["", "   ", "\u{200b}\u{200c}\u{feff}", "\n\t", "\u{2060}\u{fe0f}", "a\0b"] {
            assert_eq!(of(body).unwrap_err().code(), "invalid_request", "{body:?}");
        }
        assert!(of(&"é".repeat(65_536)).is_ok());
        assert!(of(&"e".repeat(65_537)).is_err());
        assert_eq!(content("image", None).unwrap_err().code(), "unsupported_type");
    }

    #[test]
    fn ids_look_like_the_web_clients() {
        let id = whatsapp_id();
        assert_eq!(id.len(), 22);
        assert!(id.starts_with("3EB0") && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
        assert_ne!(id, whatsapp_id());
    }

    #[test]
    fn an_author_has_no_device() {
        assert_eq!(without_device("628123:5@s.whatsapp.net"), "628123@s.whatsapp.net");
        assert_eq!(without_device("123@lid"), "123@lid");
    }
}
