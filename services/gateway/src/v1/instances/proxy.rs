//! The proxy of an instance, and `POST /v1/instances/{instance}/proxy/check` -> `{works, reason, latency_ms}`.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{InstanceId, proxy::Proxy};
use warren_ports::bus::{Action, Reply};

/// The longest name of a device.
const NAME_CHARACTERS: usize = 50;

/// A proxy, as callers write it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProxySetting)]
pub(crate) struct Setting {
    /// `http://user:password@host:port` (CONNECT) or `socks5://user:password@host:port`.
    #[schema(example = "socks5://user:password@proxy.example.com:1080")]
    url: String,
}

impl Setting {
    /// The proxy, if it is one and may be connected to. Its name is judged by what it resolves to when it is used.
    pub(super) fn read(&self, app: &App) -> Result<Proxy> {
        let field = |problem: Problem| problem.with("field", "proxy.url".into());
        let proxy = Proxy::parse(&self.url).map_err(|error| field(error.into()))?;
        app.egress.check_host(proxy.host()).map_err(|_| {
            field(Problem::invalid(
                "url_not_allowed",
                "This proxy's host is not one that is reachable from the public internet; use another proxy.",
            ))
        })?;
        Ok(proxy)
    }
}

/// A proxy, as it is shown: without its credentials.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proxy)]
pub(crate) struct ProxyView {
    #[schema(example = "socks5://***@proxy.example.com:1080")]
    url: String,
}

impl From<&Proxy> for ProxyView {
    fn from(proxy: &Proxy) -> Self {
        Self { url: proxy.shown() }
    }
}

/// What came of a connection through the proxy.
#[derive(Serialize, ToSchema)]
#[schema(as = ProxyCheck)]
pub(crate) struct Checked {
    /// Whether WhatsApp is reached through it.
    works: bool,
    /// Why not: `unreachable`, `timed_out`, `credentials_refused`, `refused` (it does not connect to WhatsApp), `no_proxy` (it
    /// speaks something else), `not_allowed` (its name leads to an address that may not be connected to).
    reason: Option<String>,
    /// How long that took, milliseconds.
    latency_ms: u32,
}

/// Connect to WhatsApp through the instance's proxy, and close again.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/proxy/check",
    tag = "instances",
    operation_id = "checkProxy",
    params(("instance" = InstanceId, Path)),
    responses((status = 200, description = "What came of it.", body = Checked), Problems)
)]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        let Reply::Proxy(check) = gateway.ask(tenant, id, Action::CheckProxy).await? else {
            return Err(Problem::internal("a look at a proxy was answered by something else"));
        };
        let view = Checked { works: check.reason.is_none(), reason: check.reason, latency_ms: check.took_ms };
        Answer::json(StatusCode::OK, &view)
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

/// The name of a device fits what phones show.
pub(super) fn check_device_name(name: &str) -> Result<()> {
    let fits = (1..=NAME_CHARACTERS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits && !name.trim().is_empty() {
        return Ok(());
    }
    Err(Problem::field("device_name", "A device's name has 1 to 50 characters, no control characters among them."))
}
