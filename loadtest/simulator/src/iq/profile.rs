//! Pictures, the text people say about themselves, and business profiles.

use wacore_binary::NodeRef;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::privacy::{self, Matter};
use crate::profile::{self, ABOUT_LIMIT, PICTURE_LIMIT};
use crate::{business, stanza, tokens};

/// Business profiles in one request.
const PROFILES_LIMIT: usize = 100;

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
    let asked = request.child("picture");
    if let (Some(shown), Some(asked)) = (&shown, asked)
        && !(tokens::admit(shown, request.account, asked) && privacy::allows(shown, request.account, Matter::Picture))
    {
        return request.error(401, "not-authorized");
    }
    let picture = shown.and_then(|account| account.state().profile.picture.clone());
    let Some(picture) = picture else {
        return request.error(404, "item-not-found");
    };
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

/// The profiles of the businesses among those asked for; of the others the answer holds none.
pub(super) fn business(request: &Request<'_>) -> Answer {
    let Some(asked) = request.child("business_profile").filter(|_| !request.set) else {
        return request.unknown();
    };
    let profiles = asked.get_children_by_tag("profile").take(PROFILES_LIMIT).filter_map(|profile| {
        let jid = stanza::attr_jid(profile, "jid")?;
        business::profile(&*request.world.directory.locate(&jid)?, &jid)
    });
    request.result(NodeBuilder::new("business_profile").children(profiles).build())
}
