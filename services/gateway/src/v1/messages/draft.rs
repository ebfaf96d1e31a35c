//! What a caller wants to send, checked and made a message.

use crate::{
    idempotency::Mutation,
    json::check_metadata,
    problem::{Problem, Result},
    state::App,
    v1::messages::{
        attachment::{self, Given},
        checks,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;
use warren_domain::{
    Delivery, InstanceId, Message, MessageId, Recipient, TenantId, Timestamp,
    media::MediaKind,
    message::{Contact, Content, Location, Quoted, Text},
};
use warren_ports::ledger::NewMessage;
use warren_runtime::fault;

/// How far ahead a message can be scheduled.
const FURTHEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The body of a send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(
    json!({"to": "+628123456789", "type": "text", "text": {"body": "Hello"}}),
    json!({
        "to": "628123456789",
        "type": "location",
        "location": {"latitude": -6.1754, "longitude": 106.8272, "name": "Monas"},
        "metadata": {"order": 42}
    }),
    json!({
        "to": "628123456789",
        "type": "contacts",
        "contacts": [{"name": "Budi", "phones": ["+628123456780"]}],
        "delivery": "at_most_once"
    }),
    json!({
        "to": "628123456789",
        "type": "document",
        "document": {"id": "0192f0c1a2b37d4e8f90a1b2c3d4e54d", "caption": "As promised", "filename": "offer.pdf"}
    })
))]
pub(crate) struct Draft {
    /// A phone number with its country code, with or without `+`; or an address.
    to: String,
    /// Which of the objects below is given.
    #[serde(rename = "type")]
    kind: String,
    text: Option<Text>,
    location: Option<Location>,
    contacts: Option<Vec<Contact>>,
    image: Option<Given>,
    video: Option<Given>,
    audio: Option<Given>,
    document: Option<Given>,
    sticker: Option<Given>,
    /// A message of the same instance that this one answers.
    reply_to: Option<MessageId>,
    /// What to do when it cannot be known whether it was sent.
    #[serde(default)]
    delivery: Delivery,
    /// Not to be sent after this moment.
    ///
    /// A moment that has passed already is taken, too, and the message fails with `expired`: so a request that is repeated
    /// late gets the same answer.
    expires_at: Option<Timestamp>,
    /// Not to be sent before this moment, at most a year ahead; one that has passed means now.
    send_at: Option<Timestamp>,
    /// Your own data, at most 16 kB of JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

impl Draft {
    /// A message of one kind to a chat, with the given content still to be put in.
    fn to(to: &str, kind: &str) -> Self {
        Self {
            to: to.to_owned(),
            kind: kind.to_owned(),
            text: None,
            location: None,
            contacts: None,
            image: None,
            video: None,
            audio: None,
            document: None,
            sticker: None,
            reply_to: None,
            delivery: Delivery::default(),
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
        }
    }

    /// A text.
    pub(crate) fn text(to: &str, body: String) -> Self {
        Self { text: Some(Text { body, ..Text::default() }), ..Self::to(to, "text") }
    }

    /// A file, as one kind.
    pub(crate) fn file(to: &str, kind: MediaKind, file: Given) -> Self {
        let draft = Self::to(to, kind.as_str());
        match kind {
            MediaKind::Image => Self { image: Some(file), ..draft },
            MediaKind::Video => Self { video: Some(file), ..draft },
            MediaKind::Audio => Self { audio: Some(file), ..draft },
            MediaKind::Document => Self { document: Some(file), ..draft },
            MediaKind::Sticker => Self { sticker: Some(file), ..draft },
        }
    }
}

/// Checks a send and makes the message that is to be accepted.
pub(super) async fn message(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    request: Mutation<Draft>,
) -> Result<NewMessage> {
    let Mutation { body: draft, key } = request;
    let new = unkeyed(app, tenant, instance, draft).await?;
    Ok(NewMessage { idempotency: key.filter(|_| !fault::mutation("idempotency_off")), ..new })
}

/// Checks what a caller wants to send and makes the message, without a key.
pub(crate) async fn unkeyed(app: &App, tenant: TenantId, instance: InstanceId, draft: Draft) -> Result<NewMessage> {
    let chat = Recipient::parse(&draft.to).map_err(|error| Problem::from(error).with("field", "to".into()))?.jid();
    let files = [
        (MediaKind::Image, draft.image),
        (MediaKind::Video, draft.video),
        (MediaKind::Audio, draft.audio),
        (MediaKind::Document, draft.document),
        (MediaKind::Sticker, draft.sticker),
    ];
    let (content, media) = match attachment::only(&draft.kind, files)? {
        Some((kind, given)) => {
            no_other_object(&draft.text, &draft.location, &draft.contacts)?;
            attachment::content(app, tenant, instance, kind, given).await?
        }
        None => (content(&draft.kind, draft.text, draft.location, draft.contacts)?, None),
    };
    check_metadata(&draft.metadata)?;
    check_times(app.now(), draft.send_at, draft.expires_at)?;
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
        media,
        quoted,
        delivery: draft.delivery,
        expires_at: draft.expires_at,
        send_at: draft.send_at,
        metadata: draft.metadata,
        created_at: app.now(),
        idempotency: None,
        part: None,
        queue_limit: app.options.queue_limit,
    })
}

/// A message that carries a file says nothing else.
fn no_other_object(text: &Option<Text>, location: &Option<Location>, contacts: &Option<Vec<Contact>>) -> Result<()> {
    let given = [("text", text.is_some()), ("location", location.is_some()), ("contacts", contacts.is_some())];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((other, _)) => Err(Problem::field(other, "Only the object that the type names is given.")),
        None => Ok(()),
    }
}

fn content(kind: &str, text: Option<Text>, location: Option<Location>, contacts: Option<Vec<Contact>>) -> Result<Content> {
    let given = [("text", text.is_some()), ("location", location.is_some()), ("contacts", contacts.is_some())];
    let known = given.into_iter().any(|(name, _)| name == kind);
    if !known {
        return Err(Problem::invalid(
            "unsupported_type",
            "A message has the type text, image, video, audio, document, sticker, location or contacts.",
        )
        .with("field", "type".into()));
    }
    if let Some((other, _)) = given.into_iter().find(|(name, is_given)| *is_given && *name != kind) {
        return Err(Problem::field(other, "Only the object that the type names is given."));
    }
    let missing = || Problem::field(kind, "This field is required.");
    match kind {
        "location" => checks::location(location.ok_or_else(missing)?).map(|location| Content::Location { location }),
        "contacts" => checks::contacts(contacts.ok_or_else(missing)?).map(|contacts| Content::Contacts { contacts }),
        _ => checks::text(text.ok_or_else(missing)?).map(|text| Content::Text { text }),
    }
}

fn check_times(now: Timestamp, send_at: Option<Timestamp>, expires_at: Option<Timestamp>) -> Result<()> {
    let Some(send_at) = send_at else { return Ok(()) };
    if send_at > now.after(FURTHEST) {
        return Err(Problem::field("send_at", "A message is scheduled for at most a year ahead."));
    }
    if expires_at.is_some_and(|expires_at| expires_at <= send_at) {
        return Err(Problem::field("send_at", "A message is sent before it expires: send_at is earlier than expires_at."));
    }
    Ok(())
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
pub(super) fn without_device(address: &str) -> String {
    match address.split_once('@') {
        Some((user, server)) => format!("{}@{server}", user.split(':').next().unwrap_or_default()),
        None => address.to_owned(),
    }
}

/// A message id as WhatsApp's web client makes them: `3EB0` and 18 upper-case hex digits.
pub(super) fn whatsapp_id() -> String {
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

    #[test]
    fn a_type_has_its_object_and_no_other() {
        let text = || Some(Text { body: "x".into(), ..Text::default() });
        let place = || Some(Location { latitude: 1.0, longitude: 1.0, name: None, address: None });
        assert!(content("text", text(), None, None).is_ok());
        assert!(content("location", None, place(), None).is_ok());
        let code = |refused: Result<Content>| refused.unwrap_err().code().to_owned();
        assert_eq!(code(content("hologram", None, None, None)), "unsupported_type");
        assert_eq!(code(content("text", None, None, None)), "invalid_request");
        assert_eq!(code(content("text", text(), place(), None)), "invalid_request");
        assert_eq!(code(content("contacts", None, None, Some(vec![]))), "invalid_request");
    }

    #[test]
    fn a_message_is_scheduled_within_a_year_and_before_it_expires() {
        let at = Timestamp::from_millis;
        let year = i64::try_from(FURTHEST.as_millis()).unwrap();
        for (send_at, expires_at) in [(None, Some(-1)), (Some(-5), None), (Some(5), Some(6)), (Some(year), None)] {
            assert!(check_times(at(0), send_at.map(at), expires_at.map(at)).is_ok(), "{send_at:?} {expires_at:?}");
        }
        for (send_at, expires_at) in [(year + 1, None), (5, Some(5)), (-5, Some(-6))] {
            assert!(check_times(at(0), Some(at(send_at)), expires_at.map(at)).is_err(), "{send_at:?} {expires_at:?}");
        }
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
