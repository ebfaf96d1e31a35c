//! `POST /v1/instances/{instance}/pairing` `{"method": "qr"}` -> 202 with the pairing; its code comes with
//! `GET .../pairing` or the ephemeral event `pairing.qr`.

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
use warren_domain::InstanceId;
use warren_ports::bus::{Action, Reply};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPairing, examples(json!({"method": "qr"})))]
pub(crate) struct Body {
    method: Method,
    /// Where the code would be typed (method `code`).
    #[serde(default, rename = "phone")]
    _phone: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PairingMethod)]
enum Method {
    Qr,
    Code,
}

/// Start a pairing.
///
/// Its code comes with `GET .../pairing`, or the ephemeral event `pairing.qr`.
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
    if request.body.method == Method::Code {
        return Err(Problem::invalid(
            "pairing_method_unavailable",
            "Pairing by code is not available; use {\"method\": \"qr\"}.",
        )
        .with("field", "method".into()));
    }
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        let view = match gateway.ask(tenant, id, Action::PairByQr).await? {
            Reply::Pairing(pairing) => View::new(id, pairing),
            _ => View::starting(id),
        };
        Ok(Answer::json(StatusCode::ACCEPTED, &view)?.at(format!("/v1/instances/{id}/pairing")))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
