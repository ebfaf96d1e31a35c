//! `PATCH /v1/instances/{instance}` `{name?, metadata?, device_name?, proxy?}` -> 200 with the instance. `null` removes the
//! name, the device's name and the proxy; metadata is replaced as a whole. A new proxy has a connection made anew, through it.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::{check_metadata, check_name},
    openapi::Problems,
    parameters::{Id, nullable},
    problem::{Problem, Result},
    state::App,
    v1::instances::{
        View,
        proxy::{Setting, check_device_name},
    },
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warren_domain::InstanceId;
use warren_ports::{bus::Action, ledger::InstancePatch};

#[derive(Deserialize, ToSchema)]
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
    #[serde(default, deserialize_with = "nullable")]
    device_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    proxy: Option<Option<Setting>>,
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
    if let Some(Some(name)) = &request.body.device_name {
        check_device_name(name)?;
    }
    let proxy = match &request.body.proxy {
        None => None,
        Some(None) => Some(None),
        Some(Some(proxy)) => Some(Some(proxy.read(&app)?)),
    };
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        let before = gateway.instance(tenant, id).await?;
        let is_new_proxy = proxy.as_ref().is_some_and(|proxy| *proxy != before.proxy);
        let patch = InstancePatch { name: body.name, metadata: body.metadata, device_name: body.device_name, proxy };
        let instance = gateway.ledger.update_instance(tenant, id, patch).await?.ok_or_else(Problem::not_found)?;
        if is_new_proxy && instance.state.reconnects() {
            // A worker that does not answer now connects anew later, and reads it then.
            let _ = gateway.ask(tenant, id, Action::Restart).await;
        }
        Answer::json(StatusCode::OK, &View::from(instance))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
