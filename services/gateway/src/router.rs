//! The table of contents of the API.

use crate::{openapi::Document, request, state::App, v1};
use axum::{
    Router, middleware,
    routing::{delete, get, post},
};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Every route.
pub(crate) fn router(app: App) -> Router {
    let (router, _document) = routed().split_for_parts();
    router
        .route("/healthz", get(v1::health::alive))
        .route("/readyz", get(v1::health::ready))
        .fallback(request::unmatched)
        .layer(middleware::from_fn_with_state(app.clone(), request::observe))
        .with_state(app)
}

/// Every route of the API, with what it says of itself.
fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(operator())
        .merge(instances())
        .merge(messages())
        .merge(chats())
        .merge(contacts())
        .merge(events())
}

/// Tenants and their keys: with the admin key only.
fn operator() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/v1/tenants", post(v1::tenants::create::handler).get(v1::tenants::list::handler))
        .route(
            "/v1/tenants/{tenant}",
            get(v1::tenants::read::handler).patch(v1::tenants::update::handler).delete(v1::tenants::delete::handler),
        )
        .route("/v1/tenants/{tenant}/keys", post(v1::keys::create::handler).get(v1::keys::list::handler))
        .route("/v1/tenants/{tenant}/keys/{key}", delete(v1::keys::revoke::handler))
}

/// Instances: what they are, linking them to an account, and turning them on and off.
fn instances() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/v1/instances", post(v1::instances::create::handler).get(v1::instances::list::handler))
        .route(
            "/v1/instances/{instance}",
            get(v1::instances::read::handler).patch(v1::instances::update::handler).delete(v1::instances::delete::handler),
        )
        .route("/v1/instances/{instance}/connect", post(v1::instances::transition::connect))
        .route("/v1/instances/{instance}/disconnect", post(v1::instances::transition::disconnect))
        .route("/v1/instances/{instance}/restart", post(v1::instances::transition::restart))
        .route("/v1/instances/{instance}/logout", post(v1::instances::transition::logout))
        .route(
            "/v1/instances/{instance}/pairing",
            post(v1::pairing::start::handler).get(v1::pairing::read::handler).delete(v1::pairing::cancel::handler),
        )
        .routes(routes!(v1::instances::proxy::check))
        .route("/v1/instances/{instance}/pairing/qr.png", get(v1::pairing::image::png))
        .route("/v1/instances/{instance}/pairing/qr.svg", get(v1::pairing::image::svg))
}

/// Messages, sent and received.
fn messages() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/v1/instances/{instance}/messages", post(v1::messages::send::by_instance).get(v1::messages::list::handler))
        .route("/v1/instances/{instance}/messages/lookup", post(v1::messages::lookup::handler))
        .route("/v1/senders/{phone}/messages", post(v1::messages::send::by_phone))
        .route(
            "/v1/messages/{message}",
            get(v1::messages::read::handler).patch(v1::messages::about::edit).delete(v1::messages::about::revoke),
        )
        .route("/v1/messages/{message}/reactions", post(v1::messages::about::react))
        .routes(routes!(v1::messages::seen::read))
}

/// Chats: what the others see this account doing.
fn chats() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(v1::chats::activity::show))
}

/// People, and what the account shows of itself.
fn contacts() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(v1::contacts::check::check))
        .routes(routes!(v1::contacts::card::read))
        .routes(routes!(v1::contacts::card::addresses))
        .routes(routes!(v1::contacts::picture::read))
        .routes(routes!(v1::contacts::presence::subscribe))
        .routes(routes!(v1::contacts::presence::show))
        .routes(routes!(v1::contacts::profile::update))
}

/// The log of what happened.
fn events() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/v1/events", get(v1::events::list::handler))
        .route("/v1/events/stream", get(v1::events::stream::handler))
        .route("/v1/events/tickets", post(v1::events::tickets::handler))
}
