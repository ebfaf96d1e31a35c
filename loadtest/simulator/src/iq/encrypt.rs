//! `encrypt`: keys published, bundles fetched, counts and digests.

use std::sync::Arc;

use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{Answer, Request};
use crate::account::{Device, PublishedKeys};
use crate::bundle;
use crate::handset::{Job, Task};
use crate::stanza;

/// One-time keys kept for one device; clients upload 812 at once.
const ONE_TIME_LIMIT: usize = 5_000;
/// Bundles in one request.
const FETCH_LIMIT: usize = 2_000;

pub(super) fn answer(request: &Request<'_>) -> Answer {
    if request.set {
        if let Some(rotate) = request.child("rotate") {
            return rotated(request, rotate);
        }
        return published(request);
    }
    if let Some(key) = request.child("key") {
        return fetched(request, key);
    }
    if request.child("count").is_some() {
        let count = own(request, |device| device.one_time.len()).unwrap_or(0);
        return request.result(NodeBuilder::new("count").attr("value", count as u64).build());
    }
    if request.child("digest").is_some() {
        return own(request, digest)
            .flatten()
            .map_or_else(|| request.error(404, "item-not-found"), |node| request.result(node));
    }
    request.unknown()
}

fn own<T>(request: &Request<'_>, read: impl FnOnce(&mut Device) -> T) -> Option<T> {
    request.account.state().devices.get_mut(&request.device).map(read)
}

/// A signed pre-key with its id and signature.
fn signed_key(node: &NodeRef<'_>) -> Option<(u32, Vec<u8>, Vec<u8>)> {
    let id = number(node.get_optional_child("id")?)?;
    let key = node.get_optional_child("value")?.content_bytes().filter(|key| key.len() == 32)?;
    let signature = node.get_optional_child("signature")?.content_bytes().filter(|bytes| bytes.len() == 64)?;
    Some((id, key.to_vec(), signature.to_vec()))
}

/// A big-endian number of up to four bytes.
fn number(node: &NodeRef<'_>) -> Option<u32> {
    let bytes = node.content_bytes()?;
    (!bytes.is_empty() && bytes.len() <= 4).then(|| bytes.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)))
}

fn published(request: &Request<'_>) -> Answer {
    let node = request.node;
    let registration = request.child("registration").and_then(number);
    let signed = request.child("skey").and_then(signed_key);
    let identity = request.child("identity").and_then(NodeRef::content_bytes);
    let (Some(registration), Some((signed_id, signed_key, signature)), Some(identity)) = (registration, signed, identity)
    else {
        return request.error(400, "bad-request");
    };
    let keys = node.get_optional_child("list").map(one_time_keys).unwrap_or_default();
    let outcome = own(request, |device| {
        if device.identity != identity {
            return None;
        }
        let first = device.keys.is_none();
        device.keys = Some(PublishedKeys { registration, signed_id, signed_key, signature });
        let known: std::collections::HashSet<u32> = device.one_time.iter().map(|(id, _)| *id).collect();
        device.one_time.extend(keys.into_iter().filter(|(id, _)| !known.contains(id)));
        while device.one_time.len() > ONE_TIME_LIMIT {
            device.one_time.pop_front();
        }
        device.told_low = false;
        Some(first)
    });
    let Some(first) = outcome.flatten() else {
        return request.error(400, "bad-request");
    };
    request.account.touch();
    let mut answer = request.done();
    if first {
        // The phone now can, and does, give its new companion the key of the app state.
        answer.jobs.push(Job {
            account: Arc::clone(request.account),
            task: Task::ShareKey { device: request.device, requested: Vec::new() },
        });
    }
    answer
}

fn one_time_keys(list: &NodeRef<'_>) -> Vec<(u32, [u8; 32])> {
    list.get_children_by_tag("key")
        .take(ONE_TIME_LIMIT)
        .filter_map(|key| {
            let id = key.get_optional_child("id").and_then(number)?;
            let value = key.get_optional_child("value")?.content_bytes()?.try_into().ok()?;
            Some((id, value))
        })
        .collect()
}

fn rotated(request: &Request<'_>, rotate: &NodeRef<'_>) -> Answer {
    let Some((id, key, signature)) = rotate.get_optional_child("skey").and_then(signed_key) else {
        return request.error(400, "bad-request");
    };
    let stored = own(request, |device| match &mut device.keys {
        Some(keys) => {
            keys.signed_id = id;
            keys.signed_key = key;
            keys.signature = signature;
            true
        }
        None => false,
    });
    if stored != Some(true) {
        return request.error(404, "item-not-found");
    }
    request.account.touch();
    request.done()
}

fn fetched(request: &Request<'_>, key: &NodeRef<'_>) -> Answer {
    let users = key
        .get_children_by_tag("user")
        .take(FETCH_LIMIT)
        .filter_map(|user| stanza::attr_jid(user, "jid"))
        .map(|jid| {
            let taken = match request.world.directory.locate(&jid) {
                Some(account) => bundle::take(request.world, &account, jid.device),
                None => Err(bundle::Missing::NoSuchDevice),
            };
            match taken {
                Ok(bundle) => bundle::user_node(jid, bundle),
                Err(missing) => bundle::missing_node(jid, missing),
            }
        })
        .collect::<Vec<_>>();
    request.result(NodeBuilder::new("list").children(users).build())
}

/// What the server holds for a device, so that the client can tell whether it is what it uploaded.
fn digest(device: &mut Device) -> Option<Node> {
    let keys = device.keys.as_ref()?;
    let one_time: Vec<&[u8]> = device.one_time.iter().map(|(_, key)| key.as_slice()).collect();
    let hash = compute_key_bundle_digest(&device.identity, &keys.signed_key, &keys.signature, &one_time);
    let ids = device.one_time.iter().map(|(id, _)| stanza::bytes("id", three_bytes(*id)));
    Some(
        NodeBuilder::new("digest")
            .children([
                stanza::bytes("registration", keys.registration.to_be_bytes()),
                stanza::bytes("type", [5_u8]),
                stanza::bytes("identity", device.identity),
                NodeBuilder::new("skey")
                    .children([
                        stanza::bytes("id", three_bytes(keys.signed_id)),
                        stanza::bytes("value", keys.signed_key.clone()),
                        stanza::bytes("signature", keys.signature.clone()),
                    ])
                    .build(),
                NodeBuilder::new("list").children(ids).build(),
                stanza::bytes("hash", hash),
            ])
            .build(),
    )
}

fn three_bytes(id: u32) -> [u8; 3] {
    let [_, high, middle, low] = id.to_be_bytes();
    [high, middle, low]
}
