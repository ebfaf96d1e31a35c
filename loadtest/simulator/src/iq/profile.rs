//! Pictures, the text people say about themselves, and business profiles.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, NodeRef};

use super::{Answer, Request};
use crate::groups::picture::Error;
use crate::groups::{self, Change};
use crate::privacy::{self, Matter};
use crate::profile::{self, ABOUT_LIMIT, PICTURE_LIMIT, Picture};
use crate::{business, stanza, tokens};

/// Business profiles in one request.
const PROFILES_LIMIT: usize = 100;

pub(super) fn picture(request: &Request<'_>) -> Answer {
    let target = stanza::attr_jid(request.node, "target");
    let group = target.as_ref().and_then(groups::id_of).and_then(|id| request.world.groups.get(id));
    let change = group.as_deref().map(|group| Change { world: request.world, group, by: request.account });
    if request.set {
        let other = target.is_some_and(|target| !target.user.is_empty());
        return match change {
            None if other => request.error(403, "forbidden"),
            change => set_picture(request, change.as_ref()),
        };
    }
    let shown = match (&change, &target) {
        (Some(change), _) => Ok(change.shown_picture()),
        (None, None) => Ok(request.account.state().profile.picture.clone()),
        (None, Some(jid)) => of_person(request, jid),
    };
    match shown {
        Ok(Some(picture)) => show(request, &picture),
        Ok(None) => request.error(404, "item-not-found"),
        Err(Hidden) => request.error(401, "not-authorized"),
    }
}

/// Somebody does not let this account see it.
struct Hidden;

fn of_person(request: &Request<'_>, jid: &Jid) -> Result<Option<Picture>, Hidden> {
    let Some(owner) = request.world.directory.locate(jid) else { return Ok(None) };
    let token = request.child("picture").unwrap_or(request.node);
    if !(tokens::admit(&owner, request.account, token) && privacy::allows(&owner, request.account, Matter::Picture)) {
        return Err(Hidden);
    }
    let picture = owner.state().profile.picture.clone();
    Ok(picture)
}

fn show(request: &Request<'_>, picture: &Picture) -> Answer {
    let asked = request.child("picture");
    // A client that has this picture already gets no address.
    if asked.is_some_and(|asked| stanza::attr_is(asked, "id", &picture.id)) {
        return request.result(stanza::leaf("picture"));
    }
    let kind = asked.and_then(|asked| stanza::attr(asked, "type")).unwrap_or_else(|| "image".to_owned());
    let reached = request.account.state().devices.get(&request.device).and_then(|device| device.reached.clone());
    request.result(profile::picture_node(request.world, picture, &kind, reached.as_deref()))
}

/// The account's own, or a group's.
fn set_picture(request: &Request<'_>, group: Option<&Change<'_>>) -> Answer {
    let image = request.child("picture").and_then(NodeRef::content_bytes);
    if image.is_some_and(|image| image.len() > PICTURE_LIMIT) {
        return request.error(406, "not-acceptable");
    }
    let set = match group {
        Some(change) => change.picture(image),
        None => profile::set_picture(request.world, request.account, image).map_err(Error::Store),
    };
    match set {
        Ok(Some(id)) => request.result(NodeBuilder::new("picture").attr("id", id).build()),
        Ok(None) => request.done(),
        Err(Error::Refused(refusal)) => request.error(refusal.code, refusal.text),
        Err(Error::Store(error)) => {
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
