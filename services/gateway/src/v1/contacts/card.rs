//! `GET /v1/instances/{instance}/contacts/{contact}`, `.../contacts/{contact}/addresses`

use super::{Contact, known_address};
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::Ids,
    problem::{Problem, Result},
    state::App,
};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{Direction, InstanceId, TenantId};
use warren_ports::{
    bus::{
        Answer, Ask,
        ask::{ContactAsk, Names},
    },
    ledger::MessageFilter,
};

/// What a contact shows of itself to this account. What it hides is `null`, like what it does not have.
#[derive(Serialize, ToSchema)]
#[schema(as = ContactCard)]
pub(crate) struct View {
    /// The address that WhatsApp knows it by.
    #[schema(example = "628123456789@s.whatsapp.net")]
    pub(crate) jid: String,
    /// Address by phone number.
    pub(crate) pn: Option<String>,
    /// Hidden address.
    lid: Option<String>,
    /// The name it had in its latest message to this account.
    pub(crate) push_name: Option<String>,
    /// What it says about itself.
    pub(crate) about: Option<String>,
    /// Its picture's id, another one with each picture.
    picture_id: Option<String>,
    /// Whether it is a business.
    pub(crate) is_business: bool,
    /// The name of the business that WhatsApp verified.
    pub(crate) verified_name: Option<String>,
}

/// Both addresses of a contact.
#[derive(Serialize, ToSchema)]
#[schema(as = ContactAddresses)]
pub(crate) struct Addresses {
    /// Address by phone number; `null` if WhatsApp does not tell it.
    pn: Option<String>,
    /// Hidden address; `null` if WhatsApp does not tell it.
    lid: Option<String>,
}

impl From<Names> for Addresses {
    fn from(names: Names) -> Self {
        Self { pn: names.pn, lid: names.lid }
    }
}

/// Show a contact.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/contacts/{contact}",
    tag = "contacts",
    operation_id = "readContact",
    params(("instance" = InstanceId, Path), ("contact" = String, Path)),
    responses((status = 200, description = "What the contact shows of itself.", body = View), Problems)
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Reader,
    Ids(id, contact): Ids<InstanceId, Contact>,
) -> Result<Json<View>> {
    app.instance(caller.tenant, id).await?;
    show(&app, caller.tenant, id, contact).await.map(Json)
}

/// What a contact of the tenant's instance shows of itself.
pub(crate) async fn show(app: &App, tenant: TenantId, id: InstanceId, contact: Contact) -> Result<View> {
    let jid = known_address(app, tenant, id, contact).await?;
    let ask = Ask::Contacts(ContactAsk::Card { contact: jid.clone() });
    let Answer::Card(card) = app.ask_whatsapp(tenant, id, ask).await? else {
        return Err(Problem::internal("a contact was answered by something else"));
    };
    let push_name = push_name(app, tenant, id, [card.names.pn.as_deref(), card.names.lid.as_deref()]).await?;
    Ok(View {
        jid,
        pn: card.names.pn,
        lid: card.names.lid,
        push_name,
        about: card.about,
        picture_id: card.picture_id,
        is_business: card.is_business,
        verified_name: card.verified_name,
    })
}

/// Show both addresses of a contact: the hidden one of a number, the number of a hidden one.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/contacts/{contact}/addresses",
    tag = "contacts",
    operation_id = "readContactAddresses",
    params(("instance" = InstanceId, Path), ("contact" = String, Path)),
    responses((status = 200, description = "Both addresses.", body = Addresses), Problems)
)]
pub(crate) async fn addresses(
    State(app): State<App>,
    caller: Reader,
    Ids(id, contact): Ids<InstanceId, Contact>,
) -> Result<Json<Addresses>> {
    app.instance(caller.tenant, id).await?;
    let contact = known_address(&app, caller.tenant, id, contact).await?;
    let ask = Ask::Contacts(ContactAsk::Names { contact });
    match app.ask_whatsapp(caller.tenant, id, ask).await? {
        Answer::Names(names) => Ok(Json(names.into())),
        _ => Err(Problem::internal("a contact's addresses were answered by something else")),
    }
}

/// The name in the latest message that came from one of these addresses. WhatsApp tells names with messages only.
async fn push_name(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    addresses: [Option<&str>; 2],
) -> Result<Option<String>> {
    let mut latest = None;
    for chat in addresses.into_iter().flatten() {
        let filter = MessageFilter { direction: Some(Direction::Inbound), status: None, chat: Some(chat.to_owned()) };
        latest = latest.max(
            app.ledger
                .messages(tenant, instance, &filter, None, 1)
                .await?
                .pop()
                .and_then(|message| Some((message.id, message.author?.push_name?))),
        );
    }
    Ok(latest.map(|(_, name)| name))
}
