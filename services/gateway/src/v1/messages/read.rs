//! `GET /v1/messages/{message}`

use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::messages::View,
};
use axum::{Json, extract::State};
use warren_domain::MessageId;

/// Read a message.
#[utoipa::path(
    get,
    path = "/v1/messages/{message}",
    tag = "messages",
    operation_id = "readMessage",
    params(("message" = MessageId, Path)),
    responses((status = 200, description = "The message.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, Id(id): Id<MessageId>) -> Result<Json<View>> {
    let message = app.ledger.message(caller.tenant, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(message.into()))
}
