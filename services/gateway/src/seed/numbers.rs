//! Whether a number is on WhatsApp: `POST /api/check/{instance}`, and the check before every message to a person.

use super::{
    Seed, Surface, body,
    codes::Code,
    envelope::{Answer, Failure, coded, success},
    phone,
    session::{Needs, able, session},
};
use crate::v1::contacts::numbers::{self, Wish};
use axum::extract::{Path, Request, State};
use serde::Deserialize;
use serde_json::json;
use warren_domain::{Instance, NumberCheck};

#[derive(Deserialize)]
struct Body {
    phone: Option<String>,
}

/// Says whether a number is on WhatsApp.
pub(super) async fn check(State(seed): State<Surface>, Path(id): Path<String>, request: Request) -> Answer {
    let body: Body = body::read(&seed.app, request, Code::InvalidRequest).await?;
    let instance = able(session(&seed, &id).await?, Needs::Connected)?;
    let written = body.phone.unwrap_or_default();
    let digits = phone::format(&written).ok_or(Code::InvalidPhone)?;
    let found = known(&seed, &instance, digits, Code::CheckFailed).await?.ok_or(Code::VerificationError)?;
    let data = json!({
        "phone": written, "isRegistered": found.is_registered(), "jid": found.jid.as_deref().unwrap_or_default(),
    });
    success("Phone number checked", data)
}

/// The number in E.164 digits, once WhatsApp has said that it has an account.
pub(super) async fn verified(seed: &Seed, instance: &Instance, written: &str) -> Result<String, Failure> {
    let digits = phone::format(written).ok_or(Code::InvalidPhone)?;
    match known(seed, instance, digits.clone(), Code::VerificationFailed).await? {
        Some(found) if found.is_registered() => Ok(digits),
        Some(_) => Err(Code::PhoneNotRegistered.into()),
        None => Err(Failure::from(Code::VerificationFailed).details("WhatsApp did not say anything of this number.")),
    }
}

async fn known(seed: &Seed, instance: &Instance, digits: String, code: Code) -> Result<Option<NumberCheck>, Failure> {
    let checked = numbers::check(&seed.app, seed.tenant, instance.id, std::slice::from_ref(&digits), Wish::Known).await;
    Ok(checked.map_err(coded(code))?.remove(&digits))
}
