//! `POST /api/instances/{instance}/webhook-setconfig` `{url, secret?}`: where the messages of an instance are posted to. It is a
//! webhook like all others, in the seed's form: the dispatcher delivers, `/v1/webhooks` shows how it stands.

use super::{
    Seed, Surface, body,
    codes::Code,
    envelope::{Answer, Failure, coded, success},
    session,
};
use crate::{problem::Problem, stream::cursor, v1::webhooks::check_url};
use axum::extract::{Path, Request, State};
use serde::Deserialize;
use serde_json::json;
use warren_domain::{
    ErrorKind, Instance, Webhook, WebhookId,
    seed::MESSAGES,
    webhook::{Format, Secret, Secrets, Standing},
};

/// The longest secret, bytes.
const SECRET: usize = 256;

#[derive(Deserialize)]
struct Body {
    url: Option<String>,
    secret: Option<String>,
}

/// Sets it, or replaces it; an empty address removes it. Without a secret it keeps the one that it has, or gets a new one.
pub(super) async fn set(State(seed): State<Surface>, Path(id): Path<String>, request: Request) -> Answer {
    let body: Body = body::read(&seed.app, request, Code::InvalidRequest).await?;
    let url = body.url.ok_or_else(|| Failure::from(Code::ValidationError).details("Field 'url' is required."))?;
    let secret = body.secret.filter(|secret| !secret.is_empty());
    if secret.as_ref().is_some_and(|secret| secret.len() > SECRET || secret.contains('\0')) {
        return Err(Failure::from(Code::ValidationError).details("A secret has at most 256 bytes."));
    }
    let is_removal = url.trim().is_empty();
    let url = if is_removal { String::new() } else { check_url(&seed.app, url.trim()).map_err(coded(Code::InvalidUrl))? };
    let instance = session::instance(&seed, &id).await?.ok_or(Code::InstanceNotFound)?;
    let set = if is_removal { remove(&seed, &instance).await } else { put(&seed, &instance, url, secret).await };
    let (url, secret) = set.map_err(|problem| match problem.kind() {
        ErrorKind::NotFound => Code::InstanceNotFound.into(),
        _ => coded(Code::WebhookUpdateFailed)(problem),
    })?;
    success("Webhook config updated", json!({"instanceId": instance.id, "webhookUrl": url, "secret": secret}))
}

async fn put(seed: &Seed, instance: &Instance, url: String, secret: Option<String>) -> Result<(String, String), Problem> {
    let start = cursor::resolve(&seed.app, seed.tenant, "now").await?;
    let keep_secret = secret.is_none();
    let now = seed.app.now();
    let webhook = Webhook {
        id: WebhookId::generate(),
        tenant: seed.tenant,
        url,
        description: None,
        events: MESSAGES.to_vec(),
        instances: vec![instance.id],
        headers: Vec::new(),
        secrets: Secrets::new(secret.as_deref().map_or_else(Secret::generate_text, Secret::of_text)),
        format: Format::Seed(instance.id),
        disabled: None,
        created_at: now,
        updated_at: now,
        position: start.position,
        standing: Standing::default(),
    };
    let set = seed.app.ledger.set_seed_webhook(&webhook, keep_secret).await?;
    Ok((set.url, set.secrets.current.reveal().to_owned()))
}

/// That there was none is no error.
async fn remove(seed: &Seed, instance: &Instance) -> Result<(String, String), Problem> {
    seed.app.ledger.delete_seed_webhook(seed.tenant, instance.id).await?;
    Ok((String::new(), String::new()))
}
