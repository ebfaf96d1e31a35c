//! `GET /v1/messages/{message}/receipts` -> `{data: [{jid, pn, lid, delivered_at, read_at, played_at}]}`: what each recipient
//! of a sent message did with it.

use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{
    Direction, Message, MessageId, Recipient,
    group::{Member, MemberReceipt},
};

/// The recipients of a message: of one in a group, who was in the group when it was sent; nobody for a received message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipts {
    data: Vec<MemberReceipt>,
}

/// Show what each recipient did with a message.
#[utoipa::path(
    get,
    path = "/v1/messages/{message}/receipts",
    tag = "messages",
    operation_id = "listReceipts",
    params(("message" = MessageId, Path)),
    responses((status = 200, body = Receipts), Problems)
)]
pub(crate) async fn list(State(app): State<App>, caller: Reader, Id(id): Id<MessageId>) -> Result<Json<Receipts>> {
    let message = app.ledger.message(caller.tenant, id).await?.ok_or_else(Problem::not_found)?;
    let data = match message.direction {
        Direction::Inbound => Vec::new(),
        Direction::Outbound if Recipient::is_group(&message.chat) => app.ledger.member_receipts(caller.tenant, id).await?,
        Direction::Outbound => vec![of_person(message)],
    };
    Ok(Json(Receipts { data }))
}

/// Between two people, the message itself tells.
fn of_person(message: Message) -> MemberReceipt {
    let jid = message.chat;
    let is_lid = jid.ends_with("@lid");
    MemberReceipt {
        member: Member { pn: (!is_lid).then(|| jid.clone()), lid: is_lid.then(|| jid.clone()), jid },
        delivered_at: message.times.delivered,
        read_at: message.times.read,
        played_at: message.times.played,
    }
}
