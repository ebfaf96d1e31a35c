//! `w:sync:app:state`: patches of a collection are numbered, kept and handed to the account's other companions. The
//! server cannot read them; only devices with the app state key can.

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::{SyncdPatch, SyncdVersion};

use super::{Answer, Request};
use crate::account::State;
use crate::stanza;

/// Patches kept of one collection. A companion that is further behind starts from what is left.
const PATCH_LIMIT: usize = 1_000;
/// Collections of one account; clients know five.
const COLLECTION_LIMIT: usize = 16;

/// One collection of an account's app state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Collection {
    version: u64,
    /// Encoded patches with their versions, oldest first.
    patches: Vec<(u64, Vec<u8>)>,
}

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let Some(sync) = request.child("sync") else {
        return request.error(400, "bad-request");
    };
    let mut state = request.account.state();
    let collections: Vec<Node> = sync
        .get_children_by_tag("collection")
        .take(COLLECTION_LIMIT)
        .filter_map(|collection| collection_node(&mut state, collection))
        .collect();
    drop(state);
    request.account.touch();
    request.result(NodeBuilder::new("sync").children(collections).build())
}

fn collection_node(state: &mut State, asked: &NodeRef<'_>) -> Option<Node> {
    let name = stanza::attr(asked, "name").filter(|name| name.len() <= 64)?;
    if !state.collections.contains_key(&name) && state.collections.len() >= COLLECTION_LIMIT {
        return None;
    }
    let collection = state.collections.entry(name.clone()).or_default();
    let base: u64 = stanza::attr(asked, "version").and_then(|version| version.parse().ok()).unwrap_or(0);
    let builder = NodeBuilder::new("collection").attr("name", name);
    if let Some(patch) = asked.get_optional_child("patch").and_then(NodeRef::content_bytes) {
        if base != collection.version {
            return Some(conflict(builder, collection, base));
        }
        if !collection.append(patch) {
            let error = NodeBuilder::new("error").attr("code", 400_u16).attr("text", "bad-request").build();
            return Some(builder.attr("type", "error").children([error]).build());
        }
        return Some(builder.attr("version", collection.version).build());
    }
    let builder = builder.attr("version", collection.version);
    Some(match collection.patches_after(base) {
        Some(patches) => builder.children([patches]).build(),
        None => builder.build(),
    })
}

/// The client wrote on top of an old version: it gets what it lacks and tries again.
fn conflict(builder: NodeBuilder, collection: &Collection, base: u64) -> Node {
    let error = NodeBuilder::new("error").attr("code", 409_u16).attr("text", "conflict").build();
    let mut children = vec![error];
    children.extend(collection.patches_after(base));
    builder.attr("type", "error").attr("version", collection.version).children(children).build()
}

impl Collection {
    /// Numbers and keeps a client's patch; `false` when it is not one.
    fn append(&mut self, encoded: &[u8]) -> bool {
        let Ok(mut patch) = SyncdPatch::decode_from_slice(encoded) else {
            return false;
        };
        self.version += 1;
        patch.version = MessageField::some(SyncdVersion { version: Some(self.version) });
        self.patches.push((self.version, patch.encode_to_vec()));
        if self.patches.len() > PATCH_LIMIT {
            self.patches.remove(0);
        }
        true
    }

    fn patches_after(&self, base: u64) -> Option<Node> {
        let patches: Vec<Node> = self
            .patches
            .iter()
            .filter(|(version, _)| *version > base)
            .map(|(_, patch)| stanza::bytes("patch", patch.clone()))
            .collect();
        (!patches.is_empty()).then(|| NodeBuilder::new("patches").children(patches).build())
    }
}
