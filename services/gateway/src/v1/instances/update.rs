//! `PATCH /v1/instances/{instance}` `{name?, metadata?}` -> 200 with the instance. `null` removes the name; metadata is
//! replaced as a whole.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::{check_metadata, check_name},
    parameters::{Id, nullable},
    problem::{Problem, Result},
    state::App,
    v1::instances::View,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use warren_domain::InstanceId;
use warren_ports::ledger::InstancePatch;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    #[serde(default, deserialize_with = "nullable")]
    name: Option<Option<String>>,
    metadata: Option<Map<String, Value>>,
}

pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Body>,
) -> Result<Response> {
    if let Some(Some(name)) = &request.body.name {
        check_name("name", name)?;
    }
    if let Some(metadata) = &request.body.metadata {
        check_metadata(metadata)?;
    }
    let (ledger, tenant) = (app.ledger.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        let patch = InstancePatch { name: body.name, metadata: body.metadata };
        let instance = ledger.update_instance(tenant, id, patch).await?.ok_or_else(Problem::not_found)?;
        Answer::json(StatusCode::OK, &View::from(instance))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
