//! `POST /v1/instances` `{name?, metadata?, device_name?, proxy?}` -> 201 with the instance, `created`; 429 `instance_limit` at the tenant's limit.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::{check_metadata, check_name},
    openapi::Problems,
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
use warren_domain::{Health, Instance, InstanceId, InstanceState, MessageId, TenantId, proxy::Proxy};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInstance, examples(json!({"name": "Support", "metadata": {"branch": "north"}})))]
pub(crate) struct Body {
    /// A name for people.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: Option<String>,
    /// Your own data, at most 16 kB of JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    device_name: Option<String>,
    proxy: Option<Setting>,
}

/// Create an instance.
///
/// It is linked to a WhatsApp account by a pairing.
#[utoipa::path(
    post,
    path = "/v1/instances",
    tag = "instances",
    operation_id = "createInstance",
    request_body = Body,
    responses((status = 201, description = "The instance.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Writer, request: Mutation<Body>) -> Result<Response> {
    if let Some(name) = &request.body.name {
        check_name("name", name)?;
    }
    check_metadata(&request.body.metadata)?;
    if let Some(name) = &request.body.device_name {
        check_device_name(name)?;
    }
    let proxy = request.body.proxy.as_ref().map(|proxy| proxy.read(&app)).transpose()?;
    let (gateway, tenant) = (app.clone(), caller.tenant);
    request.once(&app, tenant, Repeat::MakesAnother, move |body, id| create(gateway, tenant, body, proxy, id)).await
}

async fn create(app: App, tenant: TenantId, body: Body, proxy: Option<Proxy>, id: MessageId) -> Result<Answer> {
    let fresh = fresh(&app, tenant, InstanceId::from_bytes(*id.as_bytes()), body.metadata);
    let instance = Instance { name: body.name, device_name: body.device_name, proxy, ..fresh };
    let instance = store(&app, instance).await?;
    let location = format!("/v1/instances/{}", instance.id);
    Ok(Answer::json(StatusCode::CREATED, &View::from(instance))?.at(location))
}

/// An instance that was never paired, with the caller's own data.
pub(crate) fn fresh(app: &App, tenant: TenantId, id: InstanceId, metadata: Map<String, Value>) -> Instance {
    let now = app.now();
    Instance {
        id,
        tenant,
        name: None,
        metadata,
        state: InstanceState::Created,
        reason: None,
        since: now,
        account: None,
        health: Health::OK,
        restriction: None,
        created_at: now,
        device_name: None,
        proxy: None,
    }
}

/// Stores a new instance within its tenant's limit; as it is stored.
///
/// # Errors
/// 429 `instance_limit` at the limit; 404 if another tenant has this id, or had it.
pub(crate) async fn store(app: &App, instance: Instance) -> Result<Instance> {
    let limits = app.ledger.tenant(instance.tenant).await?.ok_or_else(Problem::not_found)?.limits;
    app.ledger.create_instance(&instance, limits.instances.unwrap_or(app.options.instance_limit)).await?;
    // Whoever took over an abandoned reservation finds the first one's.
    app.instance(instance.tenant, instance.id).await
}
