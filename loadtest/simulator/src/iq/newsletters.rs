//! Newsletters: what is asked of them by `w:mex`, and their posts (`newsletter`).

use serde::Deserialize;
use serde_json::{Value, json};
use wacore::iq::mex_operations::{create_newsletter, fetch_newsletter, join_newsletter, update_newsletter};
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::newsletters::{Newsletter, Refusal, WATCH_SECONDS};
use crate::stanza;

type Result<T = Value> = std::result::Result<T, Refusal>;

/// `newsletter`: a page of posts, or to be told of changes as they happen.
pub(super) fn posts(request: &Request<'_>) -> Answer {
    let newsletter =
        stanza::attr_jid(request.node, "to").ok_or(Refusal::BadText).and_then(|to| request.world.newsletters.get(&to));
    let newsletter = match newsletter {
        Ok(newsletter) => newsletter,
        Err(refusal) => return request.error(refusal.code(), refusal.text()),
    };
    let viewer = request.account.phone;
    match (request.child("messages"), request.child("live_updates")) {
        (Some(asked), _) if !request.set => {
            let number = |key: &str| stanza::attr(asked, key).and_then(|number| number.parse::<u64>().ok());
            let count = number("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            request.result(newsletter.page(viewer, count, number("before")))
        }
        (_, Some(_)) if request.set => match newsletter.watch(viewer) {
            Ok(()) => request.result(NodeBuilder::new("live_updates").attr("duration", WATCH_SECONDS).build()),
            Err(refusal) => request.error(refusal.code(), refusal.text()),
        },
        _ => request.unknown(),
    }
}

pub(super) fn make(request: &Request<'_>, variables: create_newsletter::Variables) -> Result {
    let input = variables.input.ok_or(Refusal::BadText)?;
    let owner = request.account.phone;
    let made = request.world.newsletters.make(owner, input.name.ok_or(Refusal::BadText)?, input.description)?;
    Ok(json!({"xwa2_newsletter_create": made.view(owner)}))
}

pub(super) fn show(request: &Request<'_>, variables: fetch_newsletter::Variables) -> Result {
    let input = variables.input.ok_or(Refusal::BadText)?;
    let key = input.key.ok_or(Refusal::BadText)?;
    let found = match input.r#type.as_deref() {
        Some("INVITE") => request.world.newsletters.by_invite(&key)?,
        _ => named(request, Some(&key))?,
    };
    Ok(json!({"xwa2_newsletter": found.view(request.account.phone)}))
}

pub(super) fn followed(request: &Request<'_>) -> Value {
    let phone = request.account.phone;
    let followed: Vec<Value> = request.world.newsletters.followed(phone).iter().map(|one| one.view(phone)).collect();
    json!({"xwa2_newsletter_subscribed": followed})
}

/// Joining and leaving have the same variables.
pub(super) fn follow(request: &Request<'_>, variables: join_newsletter::Variables) -> Result {
    let newsletter = named(request, variables.newsletter_id.as_deref())?;
    newsletter.follow(request.account.phone)?;
    Ok(json!({"xwa2_newsletter_join_v2": newsletter.view(request.account.phone)}))
}

pub(super) fn unfollow(request: &Request<'_>, variables: join_newsletter::Variables) -> Result {
    let newsletter = named(request, variables.newsletter_id.as_deref())?;
    newsletter.unfollow(request.account.phone);
    Ok(json!({"xwa2_newsletter_leave_v2": {"id": newsletter.jid().to_string(), "state": {"type": "ACTIVE"}}}))
}

pub(super) fn end(request: &Request<'_>, variables: join_newsletter::Variables) -> Result {
    let newsletter = named(request, variables.newsletter_id.as_deref())?;
    request.world.newsletters.end(&newsletter, request.account.phone)?;
    Ok(json!({"xwa2_newsletter_delete_v2": {"id": newsletter.jid().to_string(), "state": {"type": "DELETED"}}}))
}

pub(super) fn rename(request: &Request<'_>, variables: update_newsletter::Variables) -> Result {
    let newsletter = named(request, variables.newsletter_id.as_deref())?;
    let updates = variables.updates.ok_or(Refusal::BadText)?;
    newsletter.rename(request.account.phone, updates.name, updates.description)?;
    Ok(json!({"xwa2_newsletter_update": newsletter.view(request.account.phone)}))
}

/// What a follower wants: silence, or not.
#[derive(Deserialize)]
pub(super) struct Setting {
    input: SettingInput,
}

#[derive(Deserialize)]
struct SettingInput {
    newsletter_id: String,
    value: String,
}

pub(super) fn set(request: &Request<'_>, setting: Setting) -> Result {
    let newsletter = named(request, Some(&setting.input.newsletter_id))?;
    newsletter.mute(request.account.phone, setting.input.value == "ON")?;
    Ok(json!({"xwa2_newsletter_update_user_setting": {"id": newsletter.jid().to_string(), "state": {"type": "ACTIVE"}}}))
}

fn named(request: &Request<'_>, jid: Option<&str>) -> Result<std::sync::Arc<Newsletter>> {
    let jid: Jid = jid.and_then(|jid| jid.parse().ok()).ok_or(Refusal::Unknown)?;
    request.world.newsletters.get(&jid)
}
