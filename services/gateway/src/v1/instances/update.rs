//! `PATCH /v1/instances/{instance}` `{name?, metadata?}` -> 200 with the instance. `null` removes the name; metadata is
//! replaced as a whole.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::{check_metadata, check_name},
    openapi::Problems,
    parameters::{Id, nullable},
    problem::{Problem, Result},
    state::App,
    v1::instances::View,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warren_domain::InstanceId;
use warren_ports::ledger::InstancePatch;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InstanceChange, examples(json!({"name": "Sales", "metadata": {"branch": "south"}})))]
pub(crate) struct Body {
    /// A name for people; `null` removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"\S")]
    name: Option<Option<String>>,
    /// Your own data, at most 16 kB of JSON; replaced as a whole.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Change an instance. `null` removes its name; metadata is replaced as a whole.
#[utoipa::path(
    patch,
    path = "/v1/instances/{instance}",
    tag = "instances",
    operation_id = "updateInstance",
    params(("instance" = InstanceId, Path)),
    request_body = Body,
    responses((status = 200, description = "The instance.", body = View), Problems)
)]
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
