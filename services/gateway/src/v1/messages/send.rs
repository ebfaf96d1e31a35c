//! `POST /v1/instances/{instance}/messages`, `POST /v1/senders/{phone}/messages`
//! `{to, type, <type>, reply_to?, delivery?, expires_at?, send_at?, metadata?}` -> 202 with the message, committed and `queued`. Types:
//! `text: {body, mentions?}`, `location: {latitude, longitude, name?, address?}`, `contacts: [{name, phones | vcard}]`, and
//! `image`, `video`, `audio`, `document`, `sticker`: `{id | link, caption?, filename?, voice?, animated?}`.
//!
//! A message with a `send_at` in the future waits in the queue until then and takes its place in the chat at that moment: it
//! holds up nothing that is sent before, and counts as an open message.
//!
//! With `?wait=sent[&timeout=SECONDS]` (10 by default, at most 30): 200 once WhatsApp's server acknowledged or refused it,
//! 202 when the time is up. The same `Idempotency-Key` and body again is the same message: answered as it was accepted (with
//! `wait=sent` as it is now), with `Idempotent-Replayed: true`.

use crate::{
    auth::Writer,
    idempotency::{self, Answer, Mutation, REPLAYED},
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    state::App,
    v1::messages::{
        View, as_accepted,
        draft::{self, Draft, not_paired},
        settled::{Settled, Waiting, wished},
    },
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode},
    response::Response,
};
use std::time::Duration;
use warren_domain::{ErrorKind, InstanceId, Message, TenantId};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Accepted, NewMessage},
};

/// Send a message.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/messages",
    tag = "messages",
    operation_id = "sendMessage",
    params(("instance" = InstanceId, Path), Waiting),
    request_body = Draft,
    responses(
        (status = 200, description = "With `wait=sent`: WhatsApp acknowledged or refused it.", body = View),
        (status = 202, description = "It is committed.", body = View),
        Problems
    )
)]
pub(crate) async fn by_instance(
    State(app): State<App>,
    caller: Writer,
    Id(instance): Id<InstanceId>,
    query: Parameters,
    request: Mutation<Draft>,
) -> Result<Response> {
    let wait = wished(query)?;
    send(&app, caller.tenant, instance, request, wait).await
}

/// Send a message by the number of the account that sends, with or without `+`.
#[utoipa::path(
    post,
    path = "/v1/senders/{phone}/messages",
    tag = "messages",
    operation_id = "sendMessageByPhone",
    params(("phone" = String, Path, description = "The sending number.", example = "+628111111111"), Waiting),
    request_body = Draft,
    responses(
        (status = 200, description = "With `wait=sent`: WhatsApp acknowledged or refused it.", body = View),
        (status = 202, description = "It is committed.", body = View),
        Problems
    )
)]
pub(crate) async fn by_phone(
    State(app): State<App>,
    caller: Writer,
    Id(phone): Id<String>,
    query: Parameters,
    request: Mutation<Draft>,
) -> Result<Response> {
    let wait = wished(query)?;
    let digits = phone.strip_prefix('+').unwrap_or(&phone);
    let is_a_number = (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_a_number {
        return Err(Problem::not_found());
    }
    let sender = app.ledger.instance_by_phone(caller.tenant, digits).await?.ok_or_else(Problem::not_found)?;
    send(&app, caller.tenant, sender.id, request, wait).await
}

async fn send(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    request: Mutation<Draft>,
    wait: Option<Duration>,
) -> Result<Response> {
    accept(app, draft::message(app, tenant, instance, request).await?, wait).await
}

/// Commits a message to the queue of its instance, and answers as the routes above say.
pub(super) async fn accept(app: &App, new: NewMessage, wait: Option<Duration>) -> Result<Response> {
    let (message, is_replay) = commit(app, new, wait).await?;
    respond(app, message, wait.is_some(), is_replay)
}

/// Commits a message to the queue of its instance and rings its owner: the message, and whether its key was used before. With
/// `wait`, as it is once WhatsApp's server acknowledged or refused it, or when that time is up; without, as it was accepted.
pub(crate) async fn commit(app: &App, new: NewMessage, wait: Option<Duration>) -> Result<(Message, bool)> {
    let (tenant, instance) = (new.tenant, new.instance);
    let listening = match wait {
        Some(timeout) => Some(Settled::listen(app, new.id, timeout).await),
        None => None,
    };
    let verdict = app.ledger.accept(vec![new]).await?.pop();
    let (message, is_replay) = match verdict.ok_or_else(|| Problem::internal("a message was accepted without a verdict"))? {
        Accepted::New(message) => (message, false),
        Accepted::Replay(message) => (message, true),
        Accepted::Mismatch => return Err(idempotency::mismatch()),
        Accepted::QueueFull => return Err(queue_full()),
        Accepted::NoInstance => return Err(Problem::not_found()),
        Accepted::NotPaired => return Err(not_paired()),
    };
    if message.status.is_open() {
        app.bus.ring(Topic::Outbound(app.shard(instance)), Ring::Outbound(instance));
    }
    let message = match (wait, listening) {
        (Some(timeout), _) if is_replay => {
            // The first request's message, not the one that was to be made.
            Settled::listen(app, message.id, timeout).await.wait(app, tenant, message).await
        }
        (_, Some(settled)) => settled.wait(app, tenant, message).await,
        _ => as_accepted(message),
    };
    Ok((message, is_replay))
}

pub(super) fn queue_full() -> Problem {
    Problem::new(
        ErrorKind::Exhausted,
        "queue_full",
        "This instance has too many messages that are not sent yet; try again later.",
    )
    .retry_after(5)
}

fn respond(app: &App, message: Message, has_waited: bool, is_replay: bool) -> Result<Response> {
    let is_settled = has_waited && !message.status.is_open();
    let status = if is_settled { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/v1/messages/{}", message.id);
    let mut response = Answer::json(status, &View::from(message))?.at(location).into_response();
    if is_replay {
        app.telemetry.replayed.inc();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
