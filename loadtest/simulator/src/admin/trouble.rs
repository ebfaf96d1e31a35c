//! Faults on demand: cut sockets, stream errors, unlinked devices, refused logins, lost acks.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Error, Result, body, find};
use crate::account::Account;
use crate::handset::message_id;
use crate::link::{Command, Link};
use crate::session::conflict;
use crate::stanza;
use crate::trouble::{Change, Failure};
use crate::world::World;

/// Which companion; all of them without it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    device: Option<u16>,
}

fn links(account: &Account, device: Option<u16>) -> Vec<Link> {
    let state = account.state();
    state
        .devices
        .iter()
        .filter(|(id, _)| device.is_none_or(|wanted| wanted == **id))
        .filter_map(|(_, known)| known.link.clone())
        .filter(Link::is_open)
        .collect()
}

/// Tells every connection; returns how many there were.
fn command(links: &[Link], make: impl Fn() -> Command) -> Json<Value> {
    let count = links.iter().filter(|link| link.command(make())).count();
    Json(json!({"connections": count}))
}

/// Cuts the TCP connections without a word.
pub(super) async fn drop_connections(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let target: Target = body(&bytes)?;
    let account = find(&world, &phone)?;
    let links = links(&account, target.device);
    let answer = command(&links, || Command::Cut);
    // Answered when they are closed: a client that is back at once must not seem to replace a connection that was cut.
    let closed = futures::future::join_all(links.iter().map(|link| link.closed()));
    let _ = tokio::time::timeout(CUT, closed).await;
    Ok(answer)
}

/// How long a cut may take.
const CUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamError {
    device: Option<u16>,
    code: Option<u16>,
    /// The type of a `<conflict>` child: `replaced`, `device_removed`.
    conflict: Option<String>,
    /// An explanation for people.
    text: Option<String>,
    /// Close the socket afterwards; as WhatsApp does, the default is yes.
    close: Option<bool>,
    /// So much later, milliseconds.
    close_after_ms: Option<u64>,
}

/// Sends `<stream:error>`.
pub(super) async fn stream_error(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let wanted: StreamError = body(&bytes)?;
    let account = find(&world, &phone)?;
    let node = wanted.node();
    let links = links(&account, wanted.device);
    if let Some(ms) = wanted.close_after_ms {
        if wanted.close == Some(false) || ms > CLOSE_LIMIT {
            return Err(Error::invalid(format!("close_after_ms is at most {CLOSE_LIMIT}, and closes")));
        }
        let answer = command(&links, || Command::Write(node.clone()));
        cut_later(&world, links, Duration::from_millis(ms));
        return Ok(answer);
    }
    let close = wanted.close.unwrap_or(true);
    Ok(command(&links, || if close { Command::WriteAndClose(node.clone()) } else { Command::Write(node.clone()) }))
}

/// The longest that a connection stays after its last word, milliseconds.
const CLOSE_LIMIT: u64 = 600_000;

/// Cuts connections after a while, if they are there still.
fn cut_later(world: &World, links: Vec<Link>, after: Duration) {
    let stop = world.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(after) => drop(command(&links, || Command::Cut)),
            () = stop.cancelled() => {}
        }
    });
}

/// Stanzas that a client does not know what to do with.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Poison {
    /// A tag that nobody knows.
    UnknownTag,
    /// A message without a ciphertext.
    EmptyMessage,
    /// A ciphertext of a kind that nobody knows.
    UnknownCiphertext,
    /// A pre-key message of bytes that are none.
    Garbage,
    /// A notification of a type that nobody knows.
    UnknownNotification,
    /// A message from an address that is none.
    NoAddress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Poisoned {
    device: Option<u16>,
    kind: Poison,
}

/// Sends a stanza that makes no sense.
pub(super) async fn poison(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let Poisoned { device, kind } = body(&bytes)?;
    let account = find(&world, &phone)?;
    let node = kind.node(&message_id());
    Ok(command(&links(&account, device), || Command::Write(node.clone())))
}

impl Poison {
    fn node(&self, id: &str) -> Node {
        let now = stanza::unix_seconds();
        let message =
            |from: &str| NodeBuilder::new("message").attr("from", from).attr("id", id).attr("t", now).attr("type", "text");
        let enc = |kind: &str, bytes: &[u8]| {
            NodeBuilder::new("enc").attr("v", "2").attr("type", kind).bytes(bytes.to_vec()).build()
        };
        let stranger = "10000000001@s.whatsapp.net";
        match self {
            Self::UnknownTag => NodeBuilder::new("wibble").attr("id", id).build(),
            Self::EmptyMessage => message(stranger).build(),
            Self::UnknownCiphertext => message(stranger).children([enc("wibble", &[1, 2, 3])]).build(),
            Self::Garbage => message(stranger).children([enc("pkmsg", &[0xff; 64])]).build(),
            Self::UnknownNotification => NodeBuilder::new("notification")
                .attr("from", stranger)
                .attr("id", id)
                .attr("t", now)
                .attr("type", "wibble")
                .build(),
            Self::NoAddress => message("wibble").children([enc("msg", &[0x33; 64])]).build(),
        }
    }
}

impl StreamError {
    fn node(&self) -> Node {
        let mut builder = NodeBuilder::new("stream:error");
        if let Some(code) = self.code {
            builder = builder.attr("code", code);
        }
        let mut children = Vec::new();
        if let Some(conflict) = &self.conflict {
            children.push(NodeBuilder::new("conflict").attr("type", conflict.as_str()).build());
        }
        if let Some(text) = &self.text {
            children.push(NodeBuilder::new("text").string_content(text.as_str()).build());
        }
        if children.is_empty() { builder.build() } else { builder.children(children).build() }
    }
}

/// Removes companions, as a person does under "linked devices": they are told so, and later logins fail with 401.
pub(super) async fn unlink(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let target: Target = body(&bytes)?;
    let account = find(&world, &phone)?;
    let links = links(&account, target.device);
    let removed = {
        let mut state = account.state();
        let before = state.devices.len();
        state.devices.retain(|id, _| target.device.is_some_and(|wanted| wanted != *id));
        state.devices_changed();
        before - state.devices.len()
    };
    account.touch();
    for link in &links {
        let mut node = conflict("device_removed");
        node.attrs.insert("code", "401");
        link.command(Command::WriteAndClose(node));
    }
    Ok(Json(json!({"removed": removed, "connections": links.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    reason: u16,
    /// Of a temporary ban (reason 402): why.
    code: Option<u16>,
    /// Of a temporary ban: how much longer, seconds.
    expire_s: Option<u64>,
    /// So many logins; one, if nobody says.
    count: Option<u32>,
}

/// Refuses the next logins with this reason; `count: 0` takes it back.
pub(super) async fn failure(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let Refused { reason, code, expire_s, count } = body(&bytes)?;
    if !(400..=599).contains(&reason) {
        return Err(Error::invalid("a reason is between 400 and 599"));
    }
    let account = find(&world, &phone)?;
    let failure = Failure { reason, code, expire_s };
    let count = count.unwrap_or(1);
    account.state().refusing.set(failure, count);
    Ok(Json(json!({"reason": reason, "count": count})))
}

/// The standing faults of one account.
pub(super) async fn show(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let trouble = account.state().trouble.clone();
    Ok(Json(json!(trouble)))
}

/// Sets faults of one account; what the body does not name stays.
pub(super) async fn for_account(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let change: Change = body(&bytes)?;
    let account = find(&world, &phone)?;
    let trouble = {
        let mut state = account.state();
        state.trouble.apply(&change);
        state.trouble.clone()
    };
    Ok(Json(json!(trouble)))
}

/// The standing faults of everybody.
pub(super) async fn show_all(State(world): State<Arc<World>>) -> Json<Value> {
    let trouble = world.trouble().clone();
    Json(json!(trouble))
}

/// Sets faults of everybody; an account's own fault goes first.
pub(super) async fn for_all(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Value>> {
    let change: Change = body(&bytes)?;
    let mut trouble = world.trouble();
    trouble.apply(&change);
    Ok(Json(json!(*trouble)))
}
