//! `GET /v1/instances/{instance}/contacts` `?limit=&cursor=`: the people with whom the account exchanged messages, by address.

use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::Result,
    state::App,
    v1::{LIST_DEFAULT, LIST_MOST, Page},
};
use axum::{extract::State, response::Response};
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{Instance, InstanceId};
use warren_ports::ledger::Contact;

/// The longest address, bytes.
const ADDRESS: usize = 64;
/// The account's own addresses: by number, and the hidden one.
const OWN: u32 = 2;

/// A person with whom the account exchanged messages.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedContact, examples(json!({"jid": "628123456789@s.whatsapp.net", "push_name": "Siti"})))]
struct View {
    /// The address by number; the hidden one (`@lid`) where no number is known.
    #[schema(example = "628123456789@s.whatsapp.net")]
    jid: String,
    /// The name in the latest message to this account alone; `null` if there was none.
    #[schema(example = "Siti")]
    push_name: Option<String>,
}

/// List the people with whom the account exchanged messages, by address.
///
/// The phone's address book is not among what Warren keeps, and who only writes in groups is not listed.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/contacts",
    tag = "contacts",
    operation_id = "listContacts",
    params(
        ("instance" = InstanceId, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "At most so many; 100 if it is left out."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the stretch before.")
    ),
    responses((status = 200, description = "A stretch of the list.", body = Page<View>), Problems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Reader,
    Id(id): Id<InstanceId>,
    mut query: Parameters,
) -> Result<Response> {
    let limit = query.limit(LIST_DEFAULT, LIST_MOST)?;
    let after = query.parsed("cursor", |text| (text.len() <= ADDRESS && text.contains('@')).then(|| text.to_owned()))?;
    query.finish()?;
    let instance = app.instance(caller.tenant, id).await?;
    let contacts = stretch(&app, &instance, after.as_deref(), limit + 1).await?;
    let view = |contact: Contact| View { jid: contact.address, push_name: contact.name };
    Ok(Page::cut(contacts, limit, |contact: &Contact| contact.address.clone(), view))
}

/// Up to `limit` of the people with whom an instance exchanged messages, by address, behind `after`; the account is none of them.
pub(crate) async fn stretch(app: &App, instance: &Instance, after: Option<&str>, limit: u32) -> Result<Vec<Contact>> {
    let mut contacts = app.ledger.contacts(instance.tenant, instance.id, after, limit.saturating_add(OWN)).await?;
    let own = own_addresses(instance);
    contacts.retain(|contact| !own.contains(&contact.address));
    contacts.truncate(limit as usize);
    Ok(contacts)
}

/// The account's own addresses, without its device: what it wrote elsewhere makes it known to itself.
fn own_addresses(instance: &Instance) -> Vec<String> {
    let account = instance.account.as_ref();
    let without_device = |address: &str| {
        let (user, server) = address.split_once('@')?;
        Some(format!("{}@{server}", user.split(':').next()?))
    };
    let addresses = [account.map(|account| account.jid.as_str()), account.and_then(|account| account.lid.as_deref())];
    addresses.into_iter().flatten().filter_map(without_device).collect()
}
