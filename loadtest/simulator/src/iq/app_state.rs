//! `w:sync:app:state`: what a companion lacks of each collection, and patches it wrote.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{Answer, Request};
use crate::app_state::{self, Collection};
use crate::media;
use crate::stanza;

/// Collections of one account; clients know five.
const COLLECTION_LIMIT: usize = 16;

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let Some(sync) = request.child("sync") else {
        return request.error(400, "bad-request");
    };
    let mut written = Vec::new();
    let asked = sync.get_children_by_tag("collection").take(COLLECTION_LIMIT);
    let collections: Vec<Node> = asked.filter_map(|asked| collection_node(request, asked, &mut written)).collect();
    if !written.is_empty() {
        request.account.touch();
    }
    for (name, version) in written {
        app_state::announce(request.world, request.account, Some(request.device), &name, version);
    }
    request.result(NodeBuilder::new("sync").children(collections).build())
}

fn collection_node(request: &Request<'_>, asked: &NodeRef<'_>, written: &mut Vec<(String, u64)>) -> Option<Node> {
    let name = stanza::attr(asked, "name").filter(|name| name.len() <= 64)?;
    let mut state = request.account.state();
    if !state.collections.contains_key(&name) && state.collections.len() >= COLLECTION_LIMIT {
        return None;
    }
    let collection = state.collections.entry(name.clone()).or_default();
    let base: u64 = stanza::attr(asked, "version").and_then(|version| version.parse().ok()).unwrap_or(0);
    let builder = NodeBuilder::new("collection").attr("name", name.as_str());
    let media = &request.world.media;
    let Some(patch) = asked.get_optional_child("patch").and_then(NodeRef::content_bytes) else {
        let wants_snapshot = stanza::attr_is(asked, "return_snapshot", "true");
        return Some(match collection.after(media, base, wants_snapshot) {
            Ok(children) => builder.attr("version", collection.version()).children(children).build(),
            Err(error) => broken(builder, &error),
        });
    };
    if base != collection.version() {
        return Some(conflict(builder, media, collection, base));
    }
    if collection.append(media, patch).is_err() {
        return Some(refused(builder, 400, "bad-request", Vec::new()));
    }
    written.push((name, collection.version()));
    Some(builder.attr("version", collection.version()).build())
}

/// The client wrote on top of an old version: it gets what it lacks and tries again.
fn conflict(builder: NodeBuilder, media: &media::Store, collection: &mut Collection, base: u64) -> Node {
    match collection.after(media, base, false) {
        Ok(children) => refused(builder.attr("version", collection.version()), 409, "conflict", children),
        Err(error) => broken(builder, &error),
    }
}

fn broken(builder: NodeBuilder, error: &media::Error) -> Node {
    tracing::error!(%error, "app_state.snapshot.failed");
    refused(builder, 500, "internal-server-error", Vec::new())
}

fn refused(builder: NodeBuilder, code: u16, text: &'static str, mut children: Vec<Node>) -> Node {
    children.insert(0, NodeBuilder::new("error").attr("code", code).attr("text", text).build());
    builder.attr("type", "error").children(children).build()
}
