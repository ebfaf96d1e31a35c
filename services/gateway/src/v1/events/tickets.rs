//! `POST /v1/events/tickets` -> 201 `{ticket, expires_at}`: for browsers, which cannot send headers with a WebSocket. A
//! ticket opens one stream within 30 s: `GET /v1/events/stream?ticket=...`.

use crate::{
    auth::Reader,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    problem::Result,
    state::App,
    stream::tickets,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::Timestamp;

/// A ticket as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"ticket": "wst_0192f0c1a2b37d4e8f90a1b2c3d4e51a_...", "expires_at": "2026-11-22T09:30:30.000Z"})))]
struct Ticket<'a> {
    /// The ticket; in a replay `null`, with `ticket_withheld`.
    ticket: Option<&'a str>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_withheld: Option<&'static str>,
    /// Until when it opens a stream.
    expires_at: Timestamp,
}

/// Issue a ticket that opens one stream within 30 s.
///
/// For browsers, which cannot send headers with a WebSocket: `GET /v1/events/stream?ticket=...`.
#[utoipa::path(
    post,
    path = "/v1/events/tickets",
    tag = "events",
    operation_id = "createTicket",
    responses((status = 201, description = "The ticket.", body = Ticket), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, request: Mutation<Nothing>) -> Result<Response> {
    let gateway = app.clone();
    let tenant = caller.tenant;
    let work = move |_, _| async move {
        let issued = tickets::issue(&gateway, &caller.key).await?;
        let shown = Ticket { ticket: Some(&issued.text), ticket_withheld: None, expires_at: issued.expires_at };
        let withheld = "The ticket was shown once, in the first answer. Ask for another with a new Idempotency-Key.";
        let replayed = Ticket { ticket: None, ticket_withheld: Some(withheld), expires_at: issued.expires_at };
        Answer::json(StatusCode::CREATED, &shown)?.shown_once(&replayed)
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
