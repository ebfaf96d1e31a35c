//! `POST /v1/instances/{instance}/pairing` `{"method": "qr"}` or `{"method": "code", "phone": "628..."}` -> 202 with the pairing;
//! its code comes with `GET .../pairing` or the ephemeral events `pairing.qr` and `pairing.code`.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::pairing::View,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::{InstanceId, Recipient};
use warren_ports::bus::{Action, PhoneToPair, Reply};

/// WhatsApp gives no code for a shorter number.
const PHONE_DIGITS: usize = 7;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPairing, examples(json!({"method": "qr"}), json!({"method": "code", "phone": "+628123456789"})))]
pub(crate) struct Body {
    method: Method,
    /// The number of the phone on which the code is typed (method `code`).
    phone: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PairingMethod)]
enum Method {
    Qr,
    Code,
}

impl Body {
    fn action(&self) -> Result<Action> {
        let phone = |detail: &'static str| Problem::field("phone", detail);
        match (self.method, self.phone.as_deref()) {
            (Method::Qr, None) => Ok(Action::PairByQr),
            (Method::Qr, Some(_)) => Err(phone("A QR code is scanned by any phone; leave the number out.")),
            (Method::Code, None) => Err(phone("Name the number of the phone on which the code will be typed.")),
            (Method::Code, Some(text)) => match Recipient::parse(text) {
                Ok(Recipient::Phone(digits)) if !text.contains('@') && digits.len() >= PHONE_DIGITS => {
                    Ok(Action::PairByCode(PhoneToPair(digits)))
                }
                _ => Err(phone(
                    "A phone number is written in full, with its country code: 7 to 15 digits, with or without a leading +.",
                )),
            },
        }
    }
}

/// Start a pairing.
///
/// Its code comes with `GET .../pairing`, or the ephemeral events `pairing.qr` and `pairing.code`.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/pairing",
    tag = "pairing",
    operation_id = "startPairing",
    params(("instance" = InstanceId, Path)),
    request_body = Body,
    responses((status = 202, description = "The pairing.", body = View), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let action = request.body.action()?;
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        let view = match gateway.ask(tenant, id, action).await? {
            Reply::Pairing(pairing) => View::new(id, pairing),
            _ => View::starting(id),
        };
        Ok(Answer::json(StatusCode::ACCEPTED, &view)?.at(format!("/v1/instances/{id}/pairing")))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
