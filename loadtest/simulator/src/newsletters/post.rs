//! Posts: written, changed, taken back and reacted to, each passed on to whoever follows.

use std::sync::Arc;

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{MAX_POSTS, Newsletter, Post, Refusal, State};
use crate::account::{Account, Outgoing};
use crate::notification::{self, Notification};
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// `edit` of a post that replaces one, and of one that takes one back (`wacore`'s `EditAttribute`).
const EDIT: &str = "3";
const REVOKE: &str = "8";
/// Bytes of a reaction; an emoji has some joined characters at most.
const REACTION_LIMIT: usize = 64;
/// Posts in one answer.
const PAGE_LIMIT: usize = 100;

/// What became of a client's message to a newsletter.
pub(crate) struct Received {
    /// The number the server gave the post.
    pub(crate) server_id: u64,
}

/// Takes a client's message to a newsletter: a post, a change of one, or a reaction.
pub(crate) fn receive(
    world: &World,
    newsletter: &Newsletter,
    author: &Arc<Account>,
    device: u16,
    node: &NodeRef<'_>,
) -> Result<Received, Refusal> {
    if let Some(reaction) = node.get_optional_child("reaction") {
        return react(world, newsletter, author, node, &stanza::attr(reaction, "code").unwrap_or_default());
    }
    if author.phone != newsletter.owner {
        return Err(Refusal::NotTheOwner);
    }
    let id = stanza::attr(node, "id").ok_or(Refusal::BadText)?;
    let plaintext = node.get_optional_child("plaintext").ok_or(Refusal::BadText)?;
    let bytes = plaintext.content_bytes().unwrap_or_default().to_vec();
    let edit = stanza::attr(node, "edit");
    let mut state = newsletter.state();
    let post = match edit.as_deref() {
        Some(EDIT | REVOKE) => {
            let post = state.posts.iter_mut().find(|post| post.id == id).ok_or(Refusal::Unknown)?;
            post.plaintext = bytes;
            post.clone()
        }
        _ => {
            let post = Post {
                server_id: state.next_server_id,
                id,
                author: author.phone,
                at: stanza::unix_seconds(),
                kind: stanza::attr(node, "type").unwrap_or_else(|| "text".to_owned()),
                media: stanza::attr(plaintext, "mediatype"),
                plaintext: bytes,
                reactions: std::collections::BTreeMap::new(),
            };
            state.next_server_id += 1;
            state.posts.push_back(post.clone());
            if state.posts.len() > MAX_POSTS {
                state.posts.pop_front();
            }
            post
        }
    };
    newsletter.touch();
    deliver(world, newsletter, &state, &post, edit.as_deref(), (author.phone, device));
    Ok(Received { server_id: post.server_id })
}

fn react(
    world: &World,
    newsletter: &Newsletter,
    by: &Arc<Account>,
    node: &NodeRef<'_>,
    code: &str,
) -> Result<Received, Refusal> {
    let server_id = stanza::attr(node, "server_id").and_then(|number| number.parse().ok()).ok_or(Refusal::BadText)?;
    if code.len() > REACTION_LIMIT {
        return Err(Refusal::BadText);
    }
    let mut state = newsletter.state();
    let post = state.posts.iter_mut().find(|post| post.server_id == server_id).ok_or(Refusal::Unknown)?;
    if code.is_empty() {
        post.reactions.remove(&by.phone);
    } else {
        post.reactions.insert(by.phone, code.to_owned());
    }
    let post = post.clone();
    newsletter.touch();
    tell_watchers(world, newsletter, &state, &post);
    Ok(Received { server_id })
}

/// To every companion of every follower, but the one that wrote it.
fn deliver(world: &World, newsletter: &Newsletter, state: &State, post: &Post, edit: Option<&str>, author: (u64, u16)) {
    let mut builder = NodeBuilder::new("message").attr("from", newsletter.jid());
    if let Some(edit) = edit {
        builder = builder.attr("edit", edit);
    }
    let Ok(marshaled) = wacore_binary::marshal(&told(builder, post).build()) else { return };
    let stanza = Bytes::from(marshaled);
    for account in state.followers.keys().filter_map(|phone| world.directory.by_phone(*phone)) {
        for device in account.companions() {
            if (account.phone, device) == author {
                continue;
            }
            let outgoing = Outgoing {
                class: Class::Message,
                id: post.id.clone(),
                from: post.author,
                stanza: stanza.clone(),
                noted_from: Some(newsletter.jid().to_string()),
            };
            account.enqueue(world, device, outgoing);
        }
    }
}

/// Adds what a post looks like in an answer and on its way.
fn told(builder: NodeBuilder, post: &Post) -> NodeBuilder {
    let mut plaintext = NodeBuilder::new("plaintext");
    if let Some(media) = &post.media {
        plaintext = plaintext.attr("mediatype", media.as_str());
    }
    let mut children = vec![plaintext.bytes(post.plaintext.clone()).build()];
    children.extend(reactions(post));
    builder
        .attr("id", post.id.as_str())
        .attr("server_id", post.server_id)
        .attr("t", post.at)
        .attr("type", post.kind.as_str())
        .children(children)
}

fn reactions(post: &Post) -> Option<Node> {
    let counts = post.counts().into_iter();
    let counted: Vec<Node> =
        counts.map(|(code, count)| NodeBuilder::new("reaction").attr("code", code).attr("count", count).build()).collect();
    (!counted.is_empty()).then(|| NodeBuilder::new("reactions").children(counted).build())
}

fn tell_watchers(world: &World, newsletter: &Newsletter, state: &State, post: &Post) {
    let now = stanza::unix_seconds();
    let changed = NodeBuilder::new("message")
        .attr("server_id", post.server_id)
        .children([reactions(post).unwrap_or_else(|| stanza::leaf("reactions"))])
        .build();
    let messages = NodeBuilder::new("messages").attr("jid", newsletter.jid()).attr("t", now).children([changed]).build();
    let id = notification::id("newsletter");
    let updates = NodeBuilder::new("live_updates").children([messages]).build();
    let node = notification::begin(newsletter.jid(), "newsletter", &id).children([updates]).build();
    let Some(notification) = Notification::of(id, 0, &node) else { return };
    for (phone, _) in state.watchers.iter().filter(|(_, until)| **until > now) {
        if let Some(account) = world.directory.by_phone(*phone) {
            notification.tell(world, &account);
        }
    }
}

impl Newsletter {
    /// Up to `count` posts before the one with this number, oldest first: `<messages>`.
    pub(crate) fn page(&self, viewer: u64, count: usize, before: Option<u64>) -> Node {
        let state = self.state();
        let earlier = state.posts.iter().rev().filter(|post| before.is_none_or(|before| post.server_id < before));
        let mut page: Vec<Node> = earlier
            .take(count.min(PAGE_LIMIT))
            .map(|post| {
                let own = if post.author == viewer { "true" } else { "false" };
                told(NodeBuilder::new("message").attr("is_sender", own), post).build()
            })
            .collect();
        page.reverse();
        NodeBuilder::new("messages").attr("jid", self.jid()).attr("t", stanza::unix_seconds()).children(page).build()
    }
}
