//! `POST /v1/tenants/{tenant}/keys` `{name, scopes?, expires_at?}` -> 201 with the key in `key`, this once.

use crate::{
    auth::Admin,
    idempotency::{Answer, Mutation, OPERATOR, Repeat},
    json::check_name,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::keys::View,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{
    ErrorKind, KeyId, TenantId, Timestamp,
    key::{ApiKey, Scope, Secret},
};

/// How many keys a tenant may have, revoked ones included.
const KEYS: usize = 1_000;
/// How often another key is drawn if its first 8 characters are taken: once in 10^14.
const DRAWS: usize = 3;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, examples(json!({"name": "shop", "scopes": ["read", "write"]})))]
pub(crate) struct Body {
    /// A name for people.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// Both, if left out.
    #[schema(min_items = 1, max_items = 2)]
    scopes: Option<Vec<Scope>>,
    /// After this moment it is refused.
    expires_at: Option<Timestamp>,
}

/// A key, this once with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewKeyShown, examples(json!({
    "key": "wrn_0aB1cD2e_...",
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e55e",
    "name": "shop",
    "prefix": "wrn_0aB1cD2e",
    "scopes": ["read", "write"],
    "expires_at": null,
    "created_at": "2026-11-22T09:30:00.000Z",
    "revoked_at": null,
    "last_used_at": null
})))]
struct Shown<'a> {
    /// The key itself; in a replay `null`, with `key_withheld`.
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_withheld: Option<&'static str>,
    #[serde(flatten)]
    #[schema(value_type = View)]
    view: &'a View,
}

/// Make a key.
///
/// The key itself is shown in this answer and never again.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/keys",
    tag = "keys",
    operation_id = "createKey",
    params(("tenant" = TenantId, Path)),
    request_body = Body,
    responses((status = 201, description = "The key.", body = Shown), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    _: Admin,
    Id(tenant): Id<TenantId>,
    request: Mutation<Body>,
) -> Result<Response> {
    check_name("name", &request.body.name)?;
    if request.body.scopes.as_ref().is_some_and(|scopes| scopes.is_empty() || scopes.len() > 2) {
        return Err(Problem::field("scopes", "A key has one or both of the scopes read and write."));
    }
    let gateway = app.clone();
    request.once(&app, OPERATOR, Repeat::Harmless, move |body, _| create(gateway, tenant, body)).await
}

/// Makes a key. A repeated request makes another: the secret of one whose answer was lost is known to nobody.
async fn create(app: App, tenant: TenantId, body: Body) -> Result<Answer> {
    let now = app.now();
    if body.expires_at.is_some_and(|at| at <= now) {
        return Err(Problem::field("expires_at", "This moment has passed."));
    }
    if app.ledger.keys(tenant).await?.len() >= KEYS {
        return Err(Problem::new(ErrorKind::Conflict, "key_limit", "A tenant has at most 1,000 keys."));
    }
    let mut scopes = body.scopes.unwrap_or_else(|| vec![Scope::Read, Scope::Write]);
    scopes.dedup();
    for draw in 1.. {
        let secret = Secret::generate();
        let key = ApiKey {
            id: KeyId::generate(),
            tenant,
            prefix: secret.prefix().to_owned(),
            hash: secret.hash(),
            name: body.name.clone(),
            scopes: scopes.clone(),
            expires_at: body.expires_at,
            created_at: now,
            revoked_at: None,
            last_used_at: None,
        };
        match app.ledger.create_key(&key).await {
            Ok(()) => return answer(&secret, key),
            Err(error) if error.code == "key_prefix_taken" && draw < DRAWS => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::internal("no key could be drawn"))
}

fn answer(secret: &Secret, key: ApiKey) -> Result<Answer> {
    let view = View::from(key);
    let shown = Shown { key: Some(secret.reveal()), key_withheld: None, view: &view };
    let withheld = "The key was shown once, in the first answer. If that was lost, revoke this key and make another.";
    let replayed = Shown { key: None, key_withheld: Some(withheld), view: &view };
    Answer::json(StatusCode::CREATED, &shown)?.shown_once(&replayed)
}
