//! Reading and building nodes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef, SERVER_JID};

/// Ids in one receipt: the stanza's own and those of its list. Clients put at most 256 into one.
const RECEIPT_IDS: usize = 1_024;

/// An attribute as text; absent and empty are the same.
pub(crate) fn attr(node: &NodeRef<'_>, key: &str) -> Option<String> {
    let value = node.get_attr(key)?.as_str().into_owned();
    (!value.is_empty()).then_some(value)
}

/// An attribute as an address.
pub(crate) fn attr_jid(node: &NodeRef<'_>, key: &str) -> Option<Jid> {
    node.get_attr(key)?.to_jid()
}

/// Whether an attribute has exactly this text.
pub(crate) fn attr_is(node: &NodeRef<'_>, key: &str, expected: &str) -> bool {
    node.get_attr(key).is_some_and(|value| value.as_str() == expected)
}

/// Every message id a receipt speaks of: its own `id`, then those of `<list><item id/></list>`.
pub(crate) fn receipt_ids(node: &NodeRef<'_>) -> Vec<String> {
    let mut ids: Vec<String> = attr(node, "id").into_iter().collect();
    if let Some(list) = node.get_optional_child("list") {
        ids.extend(list.get_children_by_tag("item").take(RECEIPT_IDS).filter_map(|item| attr(item, "id")));
    }
    ids
}

/// `<iq type="result" id from="s.whatsapp.net">`.
pub(crate) fn iq_result(id: &str, children: Vec<Node>) -> Node {
    let builder = NodeBuilder::new("iq").attr("type", "result").attr("id", id).attr("from", SERVER_JID);
    if children.is_empty() { builder.build() } else { builder.children(children).build() }
}

/// `<iq type="error"><error code text/></iq>`.
pub(crate) fn iq_error(id: &str, code: u16, text: &'static str) -> Node {
    NodeBuilder::new("iq")
        .attr("type", "error")
        .attr("id", id)
        .attr("from", SERVER_JID)
        .children([NodeBuilder::new("error").attr("code", code).attr("text", text).build()])
        .build()
}

/// An empty element.
pub(crate) fn leaf(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

/// An element holding bytes.
pub(crate) fn bytes(tag: &'static str, content: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(content).build()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
