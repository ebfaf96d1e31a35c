//! `POST /admin/people/{phone}/send`: somebody writes to an account or to a group.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wacore_binary::Jid;
use waproto::whatsapp::Message;

use super::groups::find_group;
use super::{Error, Result, body, find};
use crate::account::Account;
use crate::address::PHONE;
use crate::groups::Group;
use crate::handset::draft::{self, Attached, Draft};
use crate::handset::{Job, Task, message_id};
use crate::world::World;
use crate::{bundle, profile};

/// Messages sent by one request.
const COUNT_LIMIT: u64 = 10_000;
/// Characters of one text.
const TEXT_LIMIT: usize = 65_536;
/// Largest request: media comes as Base64. Larger media is made up here (`size`).
pub(super) const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// How long a message waits for freshly linked devices to publish their keys.
const KEYS_LIMIT: Duration = Duration::from_secs(10);
const KEYS_POLL: Duration = Duration::from_millis(20);
/// Messages with media that are encrypted at a time.
static COMPOSERS: Semaphore = Semaphore::const_new(4);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    to: String,
    /// A text, in short.
    text: Option<String>,
    /// Anything.
    message: Option<Draft>,
    id: Option<String>,
    count: Option<u64>,
}

/// Where a message goes.
enum To {
    Person(Arc<Account>),
    Group(Arc<Group>),
    /// `status@broadcast`.
    Status,
}

impl Send {
    fn check(&self) -> Result<u64> {
        let count = self.count.unwrap_or(1);
        if count == 0 || count > COUNT_LIMIT {
            return Err(Error::invalid(format!("count must be between 1 and {COUNT_LIMIT}")));
        }
        let text = self.text.as_ref().or_else(|| self.message.as_ref()?.text.as_ref());
        if text.is_some_and(|text| text.len() > TEXT_LIMIT) {
            return Err(Error::invalid(format!("a text has at most {TEXT_LIMIT} bytes")));
        }
        if self.id.as_ref().is_some_and(|id| count != 1 || id.is_empty() || id.len() > 128) {
            return Err(Error::invalid("an id has 1 to 128 characters and is for one message only"));
        }
        if count != 1 && self.text.is_none() {
            return Err(Error::invalid("count is for text"));
        }
        if self.text.is_some() == self.message.is_some() {
            return Err(Error::invalid("either text or message"));
        }
        Ok(count)
    }
}

impl To {
    /// Reads a phone number, a group's address with its `@g.us`, or `status@broadcast`.
    fn find(world: &World, writer: &Account, text: &str) -> Result<Self> {
        if text.trim() == "status@broadcast" {
            return Ok(Self::Status);
        }
        if text.trim().ends_with("@g.us") {
            let group = find_group(world, text)?;
            group.may_write(writer.phone)?;
            return Ok(Self::Group(group));
        }
        let person = find(world, text)?;
        if person.phone == writer.phone {
            return Err(Error::invalid("nobody writes to oneself here"));
        }
        Ok(Self::Person(person))
    }

    /// The chat as its messages name it.
    fn chat(&self) -> Jid {
        match self {
            Self::Person(person) => person.jid(PHONE, bundle::addressing_of(person)),
            Self::Group(group) => group.jid(),
            Self::Status => Jid::status_broadcast(),
        }
    }

    /// Everybody whose devices get what is written.
    fn readers(&self, world: &World, writer: &Account) -> Vec<Arc<Account>> {
        match self {
            Self::Person(person) => vec![Arc::clone(person)],
            Self::Group(group) => group.members().into_iter().filter_map(|phone| world.directory.by_phone(phone)).collect(),
            Self::Status => profile::acquaintances(world, writer),
        }
    }

    fn task(&self, id: String, message: Message) -> Task {
        let message = Box::new(message);
        match self {
            Self::Person(person) => Task::Send { to: Arc::clone(person), id, message },
            Self::Group(group) => Task::SendToGroup { group: Arc::clone(group), id, message },
            Self::Status => Task::Post { id, message },
        }
    }
}

/// Writes. The messages are on their way when this answers; with `count`, each text gets its number.
pub(super) async fn send(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let send: Send = body(&bytes)?;
    let count = send.check()?;
    let account = find(&world, &phone)?;
    let to = To::find(&world, &account, &send.to)?;
    for reader in to.readers(&world, &account) {
        await_keys(&reader).await;
    }
    let mut messages = Vec::new();
    if let Some(draft) = send.message {
        let (message, media) = compose(&world, &account, &to, draft).await?;
        let id = send.id.unwrap_or_else(message_id);
        messages.push(json!({"id": id, "media": media}));
        world.handsets.submit(Job { account, task: to.task(id, message) }).await;
        return Ok(Json(json!({"messages": messages})));
    }
    let text = send.text.unwrap_or_default();
    for number in 1..=count {
        let id = send.id.clone().unwrap_or_else(message_id);
        let text = if count == 1 { text.clone() } else { format!("{text} {number}") };
        messages.push(json!({"id": id}));
        let message = Message { conversation: Some(text), ..Default::default() };
        let job = Job { account: Arc::clone(&account), task: to.task(id, message) };
        world.handsets.submit(job).await;
    }
    Ok(Json(json!({"messages": messages})))
}

/// Builds a message, off the runtime's threads: media is encrypted and stored.
async fn compose(world: &Arc<World>, account: &Arc<Account>, to: &To, draft: Draft) -> Result<(Message, Option<Attached>)> {
    let internal = || Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the message could not be built");
    let _place = COMPOSERS.acquire().await.map_err(|_| internal())?;
    let (world, account, chat) = (Arc::clone(world), Arc::clone(account), to.chat());
    let composed = tokio::task::spawn_blocking(move || draft.compose(&world, &account, &chat)).await;
    match composed {
        Ok(Ok(composed)) => Ok(composed),
        Ok(Err(draft::Error::Invalid(reason))) => Err(Error::invalid(reason)),
        Ok(Err(error)) => Err(Error::new(StatusCode::INSUFFICIENT_STORAGE, "media", error.to_string())),
        Err(_) => Err(internal()),
    }
}

/// A device that was linked a moment ago has not published its keys yet, and would miss the message.
async fn await_keys(to: &Account) {
    let published = async {
        while !bundle::all_published(to) {
            tokio::time::sleep(KEYS_POLL).await;
        }
    };
    // Devices without keys after that are left out and counted.
    let _ = tokio::time::timeout(KEYS_LIMIT, published).await;
}
