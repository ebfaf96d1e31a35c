//! `POST /v1/instances/{instance}/messages/lookup` `{whatsapp_id}` -> 200 `{data: [...]}`: WhatsApp's ids are unique only per
//! chat and author, so there can be several; at most 100. Changes nothing.

use crate::{
    auth::Reader,
    json::Json,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::{Page, messages::View},
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::InstanceId;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageLookup, examples(json!({"whatsapp_id": "3EB0F0E1D2C3B4A5968778"})))]
pub(crate) struct Body {
    #[schema(min_length = 1, max_length = 128)]
    whatsapp_id: String,
}

/// Find messages by their id at WhatsApp.
///
/// Such ids are unique only per chat and author, so there can be several; at most 100. Changes nothing.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/messages/lookup",
    tag = "messages",
    operation_id = "lookupMessages",
    params(("instance" = InstanceId, Path)),
    request_body = Body,
    responses((status = 200, description = "The messages.", body = Page<View>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Reader,
    Id(instance): Id<InstanceId>,
    Json(body): Json<Body>,
) -> Result<axum::Json<impl serde::Serialize>> {
    let is_an_id = (1..=128).contains(&body.whatsapp_id.len()) && !body.whatsapp_id.contains('\0');
    if !is_an_id {
        return Err(Problem::field("whatsapp_id", "An id has 1 to 128 characters."));
    }
    app.instance(caller.tenant, instance).await?;
    let messages = app.ledger.messages_by_whatsapp_id(caller.tenant, instance, &body.whatsapp_id).await?;
    Ok(axum::Json(Page { data: messages.into_iter().map(View::from).collect::<Vec<_>>(), next_cursor: None }))
}
