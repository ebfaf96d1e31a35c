//! The table of contents of the API. Every route says what it is where its handler stands, and is served only as it says:
//! what is not in the document is not there.

use crate::{
    docs,
    openapi::Document,
    request, seed,
    state::App,
    v1::{chats, contacts, events, groups, health, instances, keys, media, messages, pairing, tenants, webhooks},
};
use axum::{Router, middleware};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Every route: those of the document, and beside them those of the seed where they are wanted.
pub(crate) fn router(app: App) -> Router {
    let (router, _described) = routed().split_for_parts();
    let router = router.with_state(app.clone());
    let router = match seed::router(&app) {
        Some(seed) => router.merge(seed),
        None => router,
    };
    router.fallback(request::unmatched).layer(middleware::from_fn_with_state(app, request::observe))
}

/// What the routes say of themselves.
pub(crate) fn described() -> OpenApi {
    routed().into_openapi()
}

/// Every route, with what it says of itself.
fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(service())
        .merge(operator())
        .merge(instances())
        .merge(messages())
        .merge(chats())
        .merge(contacts())
        .merge(groups())
        .merge(media())
        .merge(events())
        .merge(webhooks())
}

/// About this server: without a key.
fn service() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(docs::document))
        .routes(routes!(docs::page))
        .routes(routes!(docs::asset))
}

/// Tenants and their keys: with the admin key only.
fn operator() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tenants::create::handler, tenants::list::handler))
        .routes(routes!(tenants::read::handler, tenants::update::handler, tenants::delete::handler))
        .routes(routes!(keys::create::handler, keys::list::handler))
        .routes(routes!(keys::revoke::handler))
}

/// Instances: what they are, linking them to an account, and turning them on and off.
fn instances() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(instances::create::handler, instances::list::handler))
        .routes(routes!(instances::read::handler, instances::update::handler, instances::delete::handler))
        .routes(routes!(instances::transition::connect))
        .routes(routes!(instances::transition::disconnect))
        .routes(routes!(instances::transition::restart))
        .routes(routes!(instances::transition::logout))
        .routes(routes!(instances::proxy::check))
        .routes(routes!(pairing::start::handler, pairing::read::handler, pairing::cancel::handler))
        .routes(routes!(pairing::image::png))
        .routes(routes!(pairing::image::svg))
}

/// Messages, sent and received.
fn messages() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(messages::send::by_instance, messages::list::handler))
        .routes(routes!(messages::batch::send))
        .routes(routes!(messages::lookup::handler))
        .routes(routes!(messages::send::by_phone))
        .routes(routes!(messages::read::handler, messages::about::edit, messages::about::take_back))
        .routes(routes!(messages::about::react))
        .routes(routes!(messages::seen::read))
        .routes(routes!(messages::receipts::list))
}

/// Chats: what the others see this account doing.
fn chats() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(chats::activity::show))
}

/// People, and what the account shows of itself.
fn contacts() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(contacts::list::list))
        .routes(routes!(contacts::check::check))
        .routes(routes!(contacts::card::read))
        .routes(routes!(contacts::card::addresses))
        .routes(routes!(contacts::picture::read))
        .routes(routes!(contacts::presence::subscribe))
        .routes(routes!(contacts::presence::show))
        .routes(routes!(contacts::profile::update))
}

/// Groups, and who is in them.
fn groups() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(groups::list::list, groups::create::create))
        .routes(routes!(groups::invites::join))
        .routes(routes!(groups::invites::preview))
        .routes(routes!(groups::one::read, groups::one::change))
        .routes(routes!(groups::members::add))
        .routes(routes!(groups::members::remove))
        .routes(routes!(groups::members::promote))
        .routes(routes!(groups::members::demote))
        .routes(routes!(groups::leave::leave))
        .routes(routes!(groups::invites::show))
        .routes(routes!(groups::invites::revoke))
}

/// Files of messages.
fn media() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(media::upload::handler))
        .routes(routes!(media::download::by_key, media::delete::handler))
        .routes(routes!(media::download::by_link))
        .routes(routes!(media::info::handler))
        .routes(routes!(media::links::handler))
}

/// The log of what happened.
fn events() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::list::handler))
        .routes(routes!(events::stream::handler))
        .routes(routes!(events::tickets::handler))
}

/// Events, posted.
fn webhooks() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::create::handler, webhooks::list::handler))
        .routes(routes!(webhooks::read::handler, webhooks::update::handler, webhooks::delete::handler))
        .routes(routes!(webhooks::secret::handler))
        .routes(routes!(webhooks::test::handler))
        .routes(routes!(webhooks::deliveries::handler))
        .routes(routes!(webhooks::dead_letters::handler))
        .routes(routes!(webhooks::replay::handler))
        .routes(routes!(webhooks::replays::list))
        .routes(routes!(webhooks::replays::cancel))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::{LinkKey, Options, Ports, state::Gateway};
    use axum::{
        body::Body,
        http::{Method, Request, StatusCode},
    };
    use std::{collections::BTreeSet, sync::Arc};
    use tower::ServiceExt as _;
    use warren_domain::{Network, media::MediaLimits, time::SystemClock};
    use warren_egress::{Guard, Policy};
    use warren_runtime::{Health, Lifecycle, Metrics};

    /// The paths of a router: what it says of itself to a developer is the one place where they are seen.
    fn paths(router: &Router) -> BTreeSet<String> {
        let shown = format!("{router:?}");
        let quoted = shown.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
        quoted.filter(|path| *path != "/" && !path.contains("__private")).map(str::to_owned).collect()
    }

    async fn ports(store: &std::path::Path, seed: Option<crate::SeedSettings>) -> Ports {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let network = Network::Whatsapp;
        let ledger = warren_sqlite::Sqlite::open(warren_sqlite::Options::new(store, network)).await.unwrap();
        Ports {
            ledger: Arc::new(ledger),
            bus: Arc::new(warren_memory::Bus::new()),
            limiter: Arc::new(warren_memory::Limiter::new()),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            admin_key: None,
            health: Health::new(),
            objects: Arc::new(warren_objects::ObjectStorage::folder(&store.join("media")).await.unwrap()),
            limits: MediaLimits::default(),
            egress: Guard::new(Policy::default()).unwrap(),
            link_key: LinkKey::new([1; 32]),
            seed,
        }
    }

    #[tokio::test]
    async fn nothing_is_served_that_is_not_in_the_document() {
        let store = tempfile::tempdir().unwrap();
        let ports = ports(store.path(), None).await;
        let router = router(Gateway::new(Options::default(), ports, Lifecycle::new()));
        let described = serde_json::to_value(described()).unwrap();
        let documented: BTreeSet<_> = described["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(paths(&router), documented);

        for (path, item) in described["paths"].as_object().unwrap() {
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                let is_documented = item.get(method.as_str().to_ascii_lowercase()).is_some();
                let request =
                    Request::builder().method(&method).uri(path.replace(['{', '}'], "")).body(Body::empty()).unwrap();
                let status = router.clone().oneshot(request).await.unwrap().status();
                assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, is_documented, "{method} {path}: {status}");
            }
        }
    }

    #[tokio::test]
    async fn beside_the_document_only_the_seeds_routes_are_served_and_only_where_they_are_wanted() {
        let store = tempfile::tempdir().unwrap();
        let seed = crate::SeedSettings {
            username: "budi".into(),
            password: "password".into(),
            jwt_secret: "x".repeat(32),
            tenant: warren_domain::TenantId::from_bytes([1; 16]),
            open_websocket: false,
            cors_origins: Vec::new(),
            requests_per_second: std::num::NonZeroU32::MIN,
            burst: std::num::NonZeroU32::MIN,
        };
        let router = router(Gateway::new(Options::default(), ports(store.path(), Some(seed)).await, Lifecycle::new()));
        let described = serde_json::to_value(described()).unwrap();
        let documented: BTreeSet<_> = described["paths"].as_object().unwrap().keys().cloned().collect();
        let beside: Vec<_> = paths(&router).difference(&documented).cloned().collect();
        // Rows 3 to 29, and those of the later revision; `/` is not among what a router shows of itself here.
        let expected = [
            "/api/by-number/{phone}",
            "/api/by-number/{phone}/media-file",
            "/api/by-number/{phone}/media-url",
            "/api/check/{instance}",
            "/api/contacts/{instance}",
            "/api/contacts/{instance}/export",
            "/api/contacts/{instance}/{jid}",
            "/api/groups/by-number/{phone}",
            "/api/groups/{instance}",
            "/api/info-device/{instance}",
            "/api/instances",
            "/api/instances/{instance}",
            "/api/instances/{instance}/webhook-setconfig",
            "/api/listen/{instance}",
            "/api/login",
            "/api/logout/{instance}",
            "/api/qr-cancel/{instance}",
            "/api/qr/{instance}",
            "/api/send-group/by-number/{phone}",
            "/api/send-group/by-number/{phone}/media",
            "/api/send-group/by-number/{phone}/media-url",
            "/api/send-group/{instance}",
            "/api/send-group/{instance}/media",
            "/api/send-group/{instance}/media-url",
            "/api/send/{instance}",
            "/api/send/{instance}/media",
            "/api/send/{instance}/media-url",
            "/api/status/{instance}",
            "/api/validate",
            "/api/{*rest}",
            "/login-jwt",
            "/ws",
        ];
        assert_eq!(beside, expected);
        assert!(beside.iter().all(|path| seed::owns(path)));
    }
}
