//! `GET /v1/instances/{instance}/contacts/{contact}/picture` `?preview=true` -> `{url, id}`

use super::{Contact, known_address};
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Ids, Parameters},
    problem::{Problem, Result},
    state::App,
};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{ErrorKind, InstanceId, TenantId};
use warren_ports::bus::{
    Answer, Ask,
    ask::{ContactAsk, Picture},
};

/// Where a contact's picture is.
#[derive(Serialize, ToSchema)]
#[schema(as = ContactPicture, examples(json!({"url": "https://pps.whatsapp.net/v/t61.24694-24/1.jpg", "id": "1700000000"})))]
pub(crate) struct View {
    /// Its address at WhatsApp, good for some hours.
    url: String,
    /// Another one with each picture.
    id: String,
}

/// Find a contact's picture.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/contacts/{contact}/picture",
    tag = "contacts",
    operation_id = "readContactPicture",
    params(
        ("instance" = InstanceId, Path),
        ("contact" = String, Path),
        ("preview" = Option<bool>, Query, description = "The small picture.")
    ),
    responses((status = 200, description = "Where the picture is. 404 `no_picture` if none is shown.", body = View), Problems)
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Reader,
    Ids(id, contact): Ids<InstanceId, Contact>,
    mut query: Parameters,
) -> Result<Json<View>> {
    let preview = query.parsed("preview", |text| text.parse::<bool>().ok())?.unwrap_or_default();
    query.finish()?;
    app.instance(caller.tenant, id).await?;
    let contact = known_address(&app, caller.tenant, id, contact).await?;
    let picture = find(&app, caller.tenant, id, &contact, preview).await?.ok_or_else(no_picture)?;
    Ok(Json(View { url: picture.url, id: picture.id }))
}

/// The picture that an address shows to the tenant's instance, if any.
pub(crate) async fn find(
    app: &App,
    tenant: TenantId,
    id: InstanceId,
    contact: &str,
    preview: bool,
) -> Result<Option<Picture>> {
    let ask = Ask::Contacts(ContactAsk::Picture { contact: contact.to_owned(), preview });
    match app.ask_whatsapp(tenant, id, ask).await? {
        Answer::Picture(picture) => Ok(picture),
        _ => Err(Problem::internal("a picture was answered by something else")),
    }
}

fn no_picture() -> Problem {
    let detail = "This contact has no picture, or does not show it to this account.";
    Problem::new(ErrorKind::NotFound, "no_picture", detail)
}
