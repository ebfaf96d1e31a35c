//! `GET /api/contacts/{instance}/{jid}`: what a contact, or a group, shows of itself.

use super::number;
use crate::{
    problem::Problem,
    seed::{
        Seed, Surface,
        codes::Code,
        envelope::{Answer, Failure, coded, success},
        session::{Needs, able, session},
    },
    v1::{
        contacts::{Contact, card, picture},
        groups::one,
    },
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::json;
use warren_domain::{Instance, Recipient};

/// A contact as it is shown; what is not known, or hidden, is empty.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    jid: String,
    phone_number: String,
    name: String,
    business_name: String,
    push_name: String,
    profile_picture: String,
    about: String,
    is_group: bool,
    is_business: bool,
    verified_name: Option<String>,
}

/// Shows it.
pub(in crate::seed) async fn show(State(seed): State<Surface>, Path((id, jid)): Path<(String, String)>) -> Answer {
    let instance = able(session(&seed, &id).await?, Needs::LoggedIn)?;
    let shown = match (jid.contains('@'), Recipient::parse(&jid)) {
        (true, Ok(Recipient::Phone(digits))) => person(&seed, &instance, Contact::Phone(digits)).await,
        (true, Ok(Recipient::Lid(digits))) => person(&seed, &instance, Contact::Lid(format!("{digits}@lid"))).await,
        (true, Ok(Recipient::Group(group))) => the_group(&seed, &instance, format!("{group}@g.us")).await,
        _ => return Err(Failure::from(Code::InvalidJid).details("An address is user@s.whatsapp.net, user@lid or id@g.us.")),
    };
    let view = shown.map_err(|problem| match problem.status() {
        StatusCode::NOT_FOUND => coded(Code::ContactNotFound)(problem),
        _ => coded(Code::FetchFailed)(problem),
    })?;
    success("Contact details retrieved successfully", json!(view))
}

async fn person(seed: &Seed, instance: &Instance, contact: Contact) -> Result<View, Problem> {
    let card = card::show(&seed.app, seed.tenant, instance.id, contact).await?;
    // That it cannot be had now is as if there were none.
    let picture = picture::find(&seed.app, seed.tenant, instance.id, &card.jid, false).await.ok().flatten();
    let phone_number = number(card.pn.as_deref().unwrap_or(&card.jid)).to_owned();
    let push_name = card.push_name.unwrap_or_default();
    let business_name = card.verified_name.clone().unwrap_or_default();
    let user = card.jid.split('@').next().unwrap_or_default();
    let name = [business_name.as_str(), &push_name, user].into_iter().find(|name| !name.is_empty());
    Ok(View {
        name: name.unwrap_or_default().to_owned(),
        phone_number,
        business_name,
        push_name,
        profile_picture: picture.map(|picture| picture.url).unwrap_or_default(),
        about: card.about.unwrap_or_default(),
        is_group: false,
        is_business: card.is_business,
        verified_name: card.verified_name,
        jid: card.jid,
    })
}

async fn the_group(seed: &Seed, instance: &Instance, group: String) -> Result<View, Problem> {
    let group = one::show(&seed.app, seed.tenant, instance.id, group).await?;
    let user = group.id.split('@').next().unwrap_or_default();
    let name = if group.subject.is_empty() { user.to_owned() } else { group.subject };
    Ok(View { phone_number: user.to_owned(), name, is_group: true, jid: group.id.clone(), ..View::default() })
}
