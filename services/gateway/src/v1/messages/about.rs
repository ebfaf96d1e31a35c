//! What is done to another message, as a message of its own in the instance's queue, with its own id, status and events:
//!
//! - `POST /v1/messages/{message}/reactions` `{emoji}` -> 202: puts an emoji on it; an empty one takes it back.
//! - `PATCH /v1/messages/{message}` `{text: {body}}` -> 202: a new text for a text of ours, within 15 minutes of its sending.
//! - `DELETE /v1/messages/{message}` -> 202: takes a message of ours back for everybody, within two days. One that is still
//!   `queued` is cancelled instead: 200 with the message, `failed` with the reason `cancelled` (see [`super::cancel`]).
//!
//! Each takes `?wait=sent` and an `Idempotency-Key` as a send does.

use super::{
    View, cancel, checks,
    draft::{whatsapp_id, without_device},
    send,
    settled::{Waiting, wished},
};
use crate::{
    auth::Writer,
    idempotency::Mutation,
    json::Nothing,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::Map;
use std::time::Duration;
use utoipa::ToSchema;
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
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReaction, examples(json!({"emoji": "👍"})))]
pub(crate) struct Emoji {
    /// One emoji; empty takes an earlier reaction back.
    #[schema(max_length = 16)]
    emoji: String,
}

/// The body of an edit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageChange, examples(json!({"text": {"body": "Hello again"}})))]
pub(crate) struct NewText {
    text: Body,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWords)]
struct Body {
    /// 1 to 65,536 characters, at least one of them visible.
    #[schema(min_length = 1, max_length = 65_536)]
    body: String,
}

/// React to a message, sent or received, with an emoji. An empty one takes the reaction back.
#[utoipa::path(
    post,
    path = "/v1/messages/{message}/reactions",
    tag = "messages",
    operation_id = "reactToMessage",
    params(("message" = MessageId, Path), Waiting),
    request_body = Emoji,
    responses(
        (status = 200, description = "With `wait=sent`: WhatsApp acknowledged or refused it.", body = View),
        (status = 202, description = "It is committed.", body = View),
        Problems
    )
)]
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

/// Give a text of ours new words, within 15 minutes of its sending.
#[utoipa::path(
    patch,
    path = "/v1/messages/{message}",
    tag = "messages",
    operation_id = "editMessage",
    params(("message" = MessageId, Path), Waiting),
    request_body = NewText,
    responses(
        (status = 200, description = "With `wait=sent`: WhatsApp acknowledged or refused it.", body = View),
        (status = 202, description = "It is committed.", body = View),
        Problems
    )
)]
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

/// Take a message of ours back: out of the queue while it waits there, or for everybody at WhatsApp, within two days.
#[utoipa::path(
    delete,
    path = "/v1/messages/{message}",
    tag = "messages",
    operation_id = "takeBackMessage",
    params(("message" = MessageId, Path), Waiting),
    responses(
        (
            status = 200,
            description = "It was cancelled in the queue, and is shown as failed; or with `wait=sent`: WhatsApp acknowledged or refused.",
            body = View
        ),
        (status = 202, description = "Taking it back at WhatsApp is committed.", body = View),
        Problems
    )
)]
pub(crate) async fn take_back(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MessageId>,
    query: Parameters,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let wait = wished(query)?;
    let message = app.ledger.message(caller.tenant, id).await?.ok_or_else(Problem::not_found)?;
    if message.direction == Direction::Outbound && cancel::is_cancelling(&message) {
        return cancel::cancel(&app, caller.tenant, id, request).await;
    }
    let message = settled(message)?;
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
    settled(app.ledger.message(tenant, id).await?.ok_or_else(Problem::not_found)?)
}

fn settled(message: Message) -> Result<Message> {
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
        send_at: None,
        metadata: Map::new(),
        created_at: app.now(),
        idempotency: key,
        part: None,
        queue_limit: app.options.queue_limit,
    };
    send::accept(app, new, wait).await
}
