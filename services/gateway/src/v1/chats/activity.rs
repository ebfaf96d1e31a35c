//! `PUT /v1/instances/{instance}/chats/{chat}/activity` `{"activity": "typing" | "recording" | "paused"}` -> 204: shows it to
//! the others. It fades by itself after some seconds: repeat it while it lasts.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Ids,
    problem::Result,
    state::App,
    v1::recipient::Address,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::InstanceId;
use warren_ports::bus::{
    Ask,
    ask::{self, ChatAsk},
};

/// What this account is doing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChatActivity, examples(json!({"activity": "typing"})))]
pub(crate) struct Body {
    activity: Activity,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activity {
    /// Typing a text.
    Typing,
    /// Recording a voice note.
    Recording,
    /// Neither any more.
    Paused,
}

/// Show that the account is typing or recording in a chat.
#[utoipa::path(
    put,
    path = "/v1/instances/{instance}/chats/{chat}/activity",
    tag = "chats",
    operation_id = "showActivity",
    params(("instance" = InstanceId, Path), ("chat" = String, Path)),
    request_body = Body,
    responses((status = 204, description = "The others were shown."), Problems)
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Writer,
    Ids(id, Address(chat)): Ids<InstanceId, Address>,
    request: Mutation<Body>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        gateway.instance(tenant, id).await?;
        let activity = match body.activity {
            Activity::Typing => ask::Activity::Typing,
            Activity::Recording => ask::Activity::Recording,
            Activity::Paused => ask::Activity::Paused,
        };
        gateway.ask_whatsapp(tenant, id, Ask::Chat(ChatAsk::Show { chat, activity })).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
