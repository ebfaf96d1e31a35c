//! Pictures, the text people say about themselves, business profiles (nobody here has one), and what an account is told
//! about a limit on it.

use serde_json::json;
use wacore::iq::mex_operations::fetch_reachout_timelock;
use wacore_binary::NodeRef;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::profile::{self, ABOUT_LIMIT, PICTURE_LIMIT};
use crate::stanza;

pub(super) fn picture(request: &Request<'_>) -> Answer {
    let target = stanza::attr_jid(request.node, "target");
    if request.set {
        // Groups have no pictures here.
        return if target.is_some() { request.error(403, "forbidden") } else { set_picture(request) };
    }
    let shown = match target {
        None => Some(std::sync::Arc::clone(request.account)),
        Some(jid) => request.world.directory.locate(&jid),
    };
    let picture = shown.and_then(|account| account.state().profile.picture.clone());
    let Some(picture) = picture else {
        return request.error(404, "item-not-found");
    };
    let asked = request.child("picture");
    // A client that has this picture already gets no address.
    if asked.is_some_and(|asked| stanza::attr_is(asked, "id", &picture.id)) {
        return request.result(stanza::leaf("picture"));
    }
    let kind = asked.and_then(|asked| stanza::attr(asked, "type")).unwrap_or_else(|| "image".to_owned());
    let reached = request.account.state().devices.get(&request.device).and_then(|device| device.reached.clone());
    request.result(profile::picture_node(request.world, &picture, &kind, reached.as_deref()))
}

fn set_picture(request: &Request<'_>) -> Answer {
    let image = request.child("picture").and_then(NodeRef::content_bytes);
    if image.is_some_and(|image| image.len() > PICTURE_LIMIT) {
        return request.error(406, "not-acceptable");
    }
    match profile::set_picture(request.world, request.account, image) {
        Ok(Some(id)) => request.result(NodeBuilder::new("picture").attr("id", id).build()),
        Ok(None) => request.done(),
        Err(error) => {
            tracing::error!(%error, "profile.picture.failed");
            request.error(500, "internal-server-error")
        }
    }
}

pub(super) fn status(request: &Request<'_>) -> Answer {
    let text = request.child("status").map(|status| status.content_as_string().unwrap_or_default());
    let (true, Some(text)) = (request.set, text) else {
        return request.unknown();
    };
    if text.len() > ABOUT_LIMIT {
        return request.error(406, "not-acceptable");
    }
    profile::set_about(request.world, request.account, &text);
    request.done()
}

/// An account without a business profile: the answer holds none.
pub(super) fn business(request: &Request<'_>) -> Answer {
    if request.set || request.child("business_profile").is_none() {
        return request.unknown();
    }
    request.result(stanza::leaf("business_profile"))
}

/// `w:mex`: of the many queries, the one about the account's reach-out limit.
pub(super) fn query(request: &Request<'_>) -> Answer {
    let asked = request.child("query").and_then(|query| stanza::attr(query, "query_id"));
    if asked.as_deref() != Some(fetch_reachout_timelock::DOC_ID) {
        return request.unknown();
    }
    let limit = request.account.state().trouble.reachout();
    let limit = limit.or_else(|| request.world.trouble().reachout());
    let limit = match limit {
        Some(limit) => json!({
            "is_active": true,
            "time_enforcement_ends": (limit.until_ms / 1_000).to_string(),
            "enforcement_type": "DEFAULT",
        }),
        None => json!({"is_active": false}),
    };
    let body = json!({"data": {"xwa2_fetch_account_reachout_timelock": limit}});
    request.result(stanza::bytes("result", body.to_string()))
}
