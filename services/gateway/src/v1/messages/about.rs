//! What is done to another message, as a message of its own in the instance's queue, with its own id, status and events:
//!
//! - `POST /v1/messages/{message}/reactions` `{emoji}` -> 202: puts an emoji on it; an empty one takes it back.
//! - `PATCH /v1/messages/{message}` `{text: {body}}` -> 202: a new text for a text of ours, within 15 minutes of its sending.
//! - `DELETE /v1/messages/{message}` -> 202: takes a message of ours back for everybody, within two days.
//!
//! Each takes `?wait=sent` and an `Idempotency-Key` as a send does.

use super::{
    checks,
    draft::{whatsapp_id, without_device},
    send,
    settled::wished,
};
use crate::{
    auth::Writer,
    idempotency::Mutation,
    json::Nothing,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::Map;
use std::time::Duration;
use warren_domain::{
    Delivery, Direction, ErrorKind, Message, MessageId, MessageStatus, TenantId,
    message::{Content, Edit, Reaction, Target},
};
use warren_ports::ledger::{IdempotencyKey, NewMessage};

/// WhatsApp's clients show no edit that came later than this after its message.
const EDITABLE: Duration = Duration::from_secs(15 * 60);
/// WhatsApp's clients take nothing back after two days and twelve hours; not on the edge of it.
const REVOCABLE: Duration = Duration::from_secs(2 * 24 * 3_600);

/// The body of a reaction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Emoji {
    emoji: String,
}

/// The body of an edit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewText {
    text: Body,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    body: String,
}

/// Puts an emoji on a message, sent or received.
pub(crate) async fn react(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MessageId>,
    query: Parameters,
    request: Mutation<Emoji>,
) -> Result<Response> {
    let wait = wished(query)?;
    checks::emoji(&request.body.emoji)?;
    let message = known(&app, caller.tenant, id).await?;
    let reaction = Reaction { target: target(&message), emoji: request.body.emoji };
    tell(&app, &message, Content::Reaction { reaction }, request.key, wait).await
}

/// Gives a text of ours new words.
pub(crate) async fn edit(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MessageId>,
    query: Parameters,
    request: Mutation<NewText>,
) -> Result<Response> {
    let wait = wished(query)?;
    let body = request.body.text.body;
    checks::body("text.body", &body)?;
    let message = known(&app, caller.tenant, id).await?;
    let is_our_text = message.direction == Direction::Outbound && matches!(message.content, Content::Text { .. });
    if !is_our_text {
        return Err(conflict("not_editable", "Only a text that this instance sent can be edited."));
    }
    within(&app, &message, EDITABLE, "A text can be edited for 15 minutes after it was sent.")?;
    let edit = Edit { target: target(&message), body };
    tell(&app, &message, Content::Edit { edit }, request.key, wait).await
}

/// Takes a message of ours back.
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MessageId>,
    query: Parameters,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let wait = wished(query)?;
    let message = known(&app, caller.tenant, id).await?;
    let stands = message.direction == Direction::Outbound
        && !matches!(message.content, Content::Revoke { .. } | Content::Edit { .. } | Content::Reaction { .. });
    if !stands {
        return Err(conflict("not_revocable", "Only a message that this instance sent can be taken back."));
    }
    within(&app, &message, REVOCABLE, "A message can be taken back for two days after it was sent.")?;
    tell(&app, &message, Content::Revoke { revoke: target(&message) }, request.key, wait).await
}

/// The tenant's message, as far as it is at WhatsApp: what is not there yet cannot be spoken of.
async fn known(app: &App, tenant: TenantId, id: MessageId) -> Result<Message> {
    let message = app.ledger.message(tenant, id).await?.ok_or_else(Problem::not_found)?;
    match message.status {
        MessageStatus::Failed => Err(conflict("message_failed", "This message was never sent.")),
        status if status.is_open() => {
            Err(conflict("not_sent_yet", "This message is still on its way; try again once it is sent."))
        }
        _ => Ok(message),
    }
}

fn conflict(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(ErrorKind::Conflict, code, detail)
}

fn within(app: &App, message: &Message, span: Duration, otherwise: &'static str) -> Result<()> {
    let since = message.times.sent.unwrap_or(message.times.created);
    if since.after(span) < app.now() { Err(conflict("too_late", otherwise)) } else { Ok(()) }
}

fn target(message: &Message) -> Target {
    let from_me = message.direction == Direction::Outbound;
    // Between two people the chat says who the other one is.
    let author = message.author.as_ref().filter(|_| message.chat.ends_with("@g.us"));
    Target {
        message_id: Some(message.id),
        whatsapp_id: message.whatsapp_id.clone(),
        from_me,
        author: author.map(|person| without_device(&person.jid)),
    }
}

async fn tell(
    app: &App,
    message: &Message,
    content: Content,
    key: Option<IdempotencyKey>,
    wait: Option<Duration>,
) -> Result<Response> {
    let new = NewMessage {
        id: MessageId::generate(),
        tenant: message.tenant,
        instance: message.instance,
        whatsapp_id: whatsapp_id(),
        secret: rand::random(),
        chat: message.chat.clone(),
        content,
        media: None,
        quoted: None,
        delivery: Delivery::default(),
        expires_at: None,
        metadata: Map::new(),
        created_at: app.now(),
        idempotency: key,
        queue_limit: app.options.queue_limit,
    };
    send::accept(app, new, wait).await
}
