//! Taking a message out of the queue before it is handed to the wire: the owner does it, connected or not, because only the
//! owner knows what is being handed.

use crate::{
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    problem::{Problem, Result},
    state::App,
    v1::messages::View,
};
use axum::{http::StatusCode, response::Response};
use warren_domain::{ErrorKind, FailureReason, Message, MessageId, MessageStatus, TenantId};
use warren_ports::bus::Action;

/// Whether taking this message back means to cancel it, or to say again that it is cancelled.
pub(super) fn is_cancelling(message: &Message) -> bool {
    message.status == MessageStatus::Queued || is_cancelled(message)
}

fn is_cancelled(message: &Message) -> bool {
    message.status == MessageStatus::Failed && message.reason == Some(FailureReason::Cancelled)
}

/// 200 with the cancelled message. What is handed at this very moment is 409 `already_sent`: the same request again takes it
/// back at WhatsApp.
pub(super) async fn cancel(app: &App, tenant: TenantId, id: MessageId, request: Mutation<Nothing>) -> Result<Response> {
    let gateway = app.clone();
    let work = move |_, _| async move {
        let mut message = find(&gateway, tenant, id).await?;
        if !is_cancelled(&message) {
            ask(&gateway, &message).await?;
            message = find(&gateway, tenant, id).await?;
        }
        if is_cancelled(&message) {
            return Answer::json(StatusCode::OK, &View::from(message));
        }
        Err(match message.status {
            MessageStatus::Failed => conflict("message_failed", "This message failed before it could be cancelled."),
            _ => conflict("already_sent", "This message is being sent, or just was; once it is sent it can be taken back."),
        })
    };
    request.once(app, tenant, Repeat::Harmless, work).await
}

async fn find(app: &App, tenant: TenantId, id: MessageId) -> Result<Message> {
    app.ledger.message(tenant, id).await?.ok_or_else(Problem::not_found)
}

/// Has the owner take it out. What the owner refuses shows in the message.
async fn ask(app: &App, message: &Message) -> Result<()> {
    match app.ask(message.tenant, message.instance, Action::CancelMessage(message.id)).await {
        Err(problem) if problem.kind() != ErrorKind::Conflict => Err(problem),
        _ => Ok(()),
    }
}

fn conflict(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(ErrorKind::Conflict, code, detail)
}
