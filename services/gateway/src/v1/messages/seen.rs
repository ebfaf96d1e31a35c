//! `POST /v1/messages/{message}/read` -> 204: marks a received message as read, so that its author sees it.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::messages::draft::without_device,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::{Direction, ErrorKind, MessageId};
use warren_ports::bus::{Ask, ask::ChatAsk};

/// Mark a received message as read.
#[utoipa::path(
    post,
    path = "/v1/messages/{message}/read",
    tag = "messages",
    operation_id = "markRead",
    params(("message" = MessageId, Path)),
    responses((status = 204, description = "WhatsApp was told."), Problems)
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MessageId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        let message = gateway.ledger.message(tenant, id).await?.ok_or_else(Problem::not_found)?;
        let Some(author) = message.author.filter(|_| message.direction == Direction::Inbound) else {
            return Err(Problem::new(ErrorKind::Conflict, "not_received", "Only a received message can be marked as read."));
        };
        // Between two people the chat says who wrote it.
        let author = message.chat.ends_with("@g.us").then(|| without_device(&author.jid));
        let ask = ChatAsk::Read { chat: message.chat, author, whatsapp_ids: vec![message.whatsapp_id] };
        gateway.ask_whatsapp(tenant, message.instance, Ask::Chat(ask)).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
