//! Webhooks: addresses to which a tenant's events are posted, signed as Standard Webhooks says. A dispatcher delivers.
//!
//! Those that are set for an instance through the seed's surface are shown here too, and looked after like all others; what
//! they post, of which instance, and their secret are set there.

pub(crate) mod create;
pub(crate) mod dead_letters;
pub(crate) mod delete;
pub(crate) mod deliveries;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod replays;
pub(crate) mod secret;
pub(crate) mod test;
pub(crate) mod update;

use crate::{
    problem::{Problem, Result},
    state::App,
};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use warren_domain::{
    ErrorKind, EventType, InstanceId, TenantId, Timestamp, Webhook, WebhookId,
    event::Cursor,
    webhook::{Disabled, Format, NoSecret, Secret, is_reserved_header},
};
use warren_egress::check_headers;

/// How many webhooks a tenant may have.
const WEBHOOKS: u32 = 100;
/// How many instances a webhook may name.
const INSTANCES: usize = 1_000;
/// The longest description, characters.
const DESCRIPTION: usize = 500;
/// What stands for a header's value that is shown to nobody.
const HIDDEN: &str = "***";

/// A webhook as it is shown: never with its secrets, nor with the values of its headers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e58b",
    "format": "standard",
    "url": "https://hooks.example.com/warren",
    "description": "orders",
    "events": ["message.received", "message.status"],
    "instances": [],
    "headers": {"Authorization": "***"},
    "enabled": true,
    "disabled_reason": null,
    "cursor": "AQAAAAAAAAABAAAAAAAAACo",
    "delivered_at": "2026-11-22T09:30:00.000Z",
    "failing_since": null,
    "paused_until": null,
    "missed_at": null,
    "former_secret_until": null,
    "created_at": "2026-11-20T08:00:00.000Z",
    "updated_at": "2026-11-20T08:00:00.000Z"
})))]
pub(crate) struct View {
    id: WebhookId,
    /// How its posts are written and signed.
    format: FormatView,
    url: String,
    description: Option<String>,
    /// Which types are posted; none is all. Ephemeral events never are.
    events: Vec<EventType>,
    /// Of which instances; none is all.
    instances: Vec<InstanceId>,
    /// What is sent along: names, and `***` for each value.
    headers: BTreeMap<String, &'static str>,
    /// Whether events are posted.
    enabled: bool,
    /// Why they are not: it keeps its place in the log, and goes on from there once it is enabled.
    disabled_reason: Option<Disabled>,
    /// Its place in the log: everything before was delivered, given up, or waits behind an event of its instance that failed.
    cursor: String,
    /// When an event was last taken.
    delivered_at: Option<Timestamp>,
    /// Since when nothing was taken, if the last post failed.
    failing_since: Option<Timestamp>,
    /// Until when it asked not to be asked again.
    paused_until: Option<Timestamp>,
    /// When it was last found that the log may have lost events before they were delivered.
    missed_at: Option<Timestamp>,
    /// Until when posts are signed with the former secret, too.
    former_secret_until: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How the posts of a webhook are written and signed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookFormat)]
enum FormatView {
    /// The events as they are in the log, signed as Standard Webhooks says.
    Standard,
    /// The messages that come in to one instance, as SUDEVWA writes and signs them: set by `webhook-setconfig` of its API.
    Seed,
}

impl From<Format> for FormatView {
    fn from(format: Format) -> Self {
        match format {
            Format::Standard => Self::Standard,
            Format::Seed(_) => Self::Seed,
        }
    }
}

impl View {
    fn new(log: u64, webhook: Webhook) -> Self {
        let (position, standing) = (webhook.position, webhook.standing);
        Self {
            id: webhook.id,
            format: webhook.format.into(),
            url: webhook.url,
            description: webhook.description,
            events: webhook.events,
            instances: webhook.instances,
            headers: webhook.headers.into_iter().map(|(name, _)| (name, HIDDEN)).collect(),
            enabled: webhook.disabled.is_none(),
            disabled_reason: webhook.disabled,
            cursor: Cursor { log, position }.to_string(),
            delivered_at: standing.delivered_at,
            failing_since: standing.failing_since,
            paused_until: standing.paused_until,
            missed_at: standing.missed_at,
            former_secret_until: webhook.secrets.former.map(|former| former.until),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// Which log this is.
async fn log(app: &App) -> Result<u64> {
    Ok(app.ledger.log_bounds().await?.log)
}

/// The tenant's webhook, or 404.
async fn known(app: &App, tenant: TenantId, id: WebhookId) -> Result<Webhook> {
    app.ledger.webhook(tenant, id).await?.ok_or_else(Problem::not_found)
}

/// What is set through the seed's surface is not changed here: its posts would be no longer what is expected of them.
fn check_standard(webhook: &Webhook) -> Result<()> {
    match webhook.format {
        Format::Standard => Ok(()),
        Format::Seed(_) => Err(Problem::new(
            ErrorKind::Conflict,
            "seed_webhook",
            "This webhook posts what comes in to one instance as SUDEVWA does; its events, its instance and its secret are set \
             there, by `webhook-setconfig`.",
        )),
    }
}

/// Judges an address by its shape; it is judged by what it resolves to whenever something is posted.
pub(crate) fn check_url(app: &App, url: &str) -> Result<String> {
    let checked = app
        .egress
        .check(url)
        .map_err(|refused| Problem::invalid(refused.code(), refused.to_string()).with("field", json!("url")))?;
    Ok(checked.as_str().to_owned())
}

fn check_description(description: &str) -> Result<()> {
    if description.chars().count() > DESCRIPTION || description.contains('\0') {
        return Err(Problem::field("description", "A description has at most 500 characters, and no NUL among them."));
    }
    Ok(())
}

/// Headers that may be sent along.
fn check_own_headers(headers: BTreeMap<String, String>) -> Result<Vec<(String, String)>> {
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    let refused = |code, detail: String| Problem::invalid(code, detail).with("field", json!("headers"));
    if headers.iter().any(|(name, _)| is_reserved_header(name)) {
        let detail =
            "Content-Type, Content-Encoding, webhook-* and X-SUDEVWA-Signature are set by the service: leave them out";
        return Err(refused("header_not_allowed", detail.to_owned()));
    }
    check_headers(&headers).map_err(|error| refused(error.code(), error.to_string()))?;
    Ok(headers)
}

/// Types that are posted, each once.
fn check_events(mut events: Vec<EventType>) -> Result<Vec<EventType>> {
    if events.iter().any(|kind| kind.is_ephemeral()) {
        return Err(Problem::field("events", "Ephemeral events are not posted; a stream has them."));
    }
    events.sort_unstable_by_key(|kind| kind.as_str());
    events.dedup();
    Ok(events)
}

/// Instances that the tenant has, each once.
async fn check_instances(app: &App, tenant: TenantId, mut instances: Vec<InstanceId>) -> Result<Vec<InstanceId>> {
    if instances.len() > INSTANCES {
        return Err(Problem::invalid("too_many", "At most 1,000 instances; leave them out for all."));
    }
    instances.sort_unstable();
    instances.dedup();
    for instance in &instances {
        if app.ledger.instance(tenant, *instance).await?.is_none() {
            let problem = Problem::new(ErrorKind::NotFound, "unknown_instance", "There is no such instance.");
            return Err(problem.with("field", json!("instances")));
        }
    }
    Ok(instances)
}

/// A secret that the caller brings.
fn check_secret(secret: Option<&str>) -> Result<Secret> {
    match secret {
        None => Ok(Secret::generate()),
        Some(text) => Secret::parse(text).map_err(|NoSecret| {
            let detail =
                "A secret is written as whsec_ and the base64 of 24 to 64 random bytes; leave it out for a fresh one.";
            Problem::field("secret", detail)
        }),
    }
}
