//! `POST /v1/events/tickets` -> 201 `{ticket, expires_at}`: for browsers, which cannot send headers with a WebSocket. A
//! ticket opens one stream within 30 s: `GET /v1/events/stream?ticket=...`.

use crate::{
    auth::Reader,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    problem::Result,
    state::App,
    stream::tickets,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

pub(crate) async fn handler(State(app): State<App>, caller: Reader, request: Mutation<Nothing>) -> Result<Response> {
    let gateway = app.clone();
    let tenant = caller.tenant;
    let work = move |_, _| async move {
        let issued = tickets::issue(&gateway, &caller.key).await?;
        let shown = json!({"ticket": issued.text, "expires_at": issued.expires_at});
        let withheld = "The ticket was shown once, in the first answer. Ask for another with a new Idempotency-Key.";
        let replayed = json!({"ticket": null, "ticket_withheld": withheld, "expires_at": issued.expires_at});
        Answer::json(StatusCode::CREATED, &shown)?.shown_once(&replayed)
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
