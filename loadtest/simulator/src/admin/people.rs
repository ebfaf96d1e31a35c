//! People: phones without a client. They receive, confirm, read and write, by themselves if they are told so.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Error, Result, body, find, named_phone};
use crate::account::Account;
use crate::address::{Addressing, PHONE, parse_phone};
use crate::handset::{self, Job, Task};
use crate::world::World;
use crate::{blocklist, habits, presence, stanza};

/// People made by one request.
const COUNT_LIMIT: u64 = 10_000;
/// Messages in one page of an inbox.
const PAGE_LIMIT: usize = 1_000;

/// A request about people: who, and how they behave.
struct Wanted {
    phone: Option<String>,
    name: Option<String>,
    count: Option<u64>,
    habits: habits::Change,
}

impl Wanted {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut fields: Map<String, Value> = body(bytes)?;
        let (phone, name) = (take(&mut fields, "phone")?, take(&mut fields, "name")?);
        let count = take(&mut fields, "count")?;
        // What is left says how they behave, or is a mistake.
        let habits: habits::Change = parsed(Value::Object(fields))?;
        habits.check().map_err(Error::invalid)?;
        Ok(Self { phone, name, count, habits })
    }
}

fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>> {
    fields.remove(name).map_or(Ok(None), parsed)
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::invalid(error.to_string()))
}

/// Makes people. With a number that exists, changes that person's habits and returns it.
pub(super) async fn create(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Value>> {
    let Wanted { phone, name, count, habits } = Wanted::read(&bytes)?;
    let count = count.unwrap_or(1);
    if count == 0 || count > COUNT_LIMIT {
        return Err(Error::invalid(format!("count must be between 1 and {COUNT_LIMIT}")));
    }
    if phone.is_some() && count != 1 {
        return Err(Error::invalid("a phone number is for one person only"));
    }
    let phone = named_phone(phone.as_deref())?;
    let maker = Arc::clone(&world);
    let people = tokio::task::spawn_blocking(move || -> Result<Vec<Value>> {
        let mut people = Vec::new();
        for _ in 0..count {
            let person = maker.directory.obtain(phone, name.clone(), maker.options.lid_migrated)?;
            behave(&maker, &person, &habits);
            people.push(view(&person));
        }
        Ok(people)
    })
    .await
    .map_err(|_| Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "making people failed"))??;
    Ok(Json(json!({"people": people})))
}

/// Changes a phone's habits; whether it came online by that.
fn behave(world: &World, account: &Arc<Account>, change: &habits::Change) -> bool {
    let woke = presence::change(world, account, |state| {
        let before = state.habits;
        state.habits = change.apply(before, stanza::unix_millis());
        !before.online && state.habits.online
    });
    if change.away().is_some() {
        handset::resume_absence(world, account);
    }
    account.touch();
    woke
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    /// A phone number.
    phone: String,
    /// `false` unblocks.
    block: Option<bool>,
}

/// Somebody blocks somebody else, or no longer does: what comes from there is acknowledged and goes nowhere.
pub(super) async fn block(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<StatusCode> {
    let wanted: Block = body(&bytes)?;
    let (account, other) = (find(&world, &phone)?, find(&world, &wanted.phone)?);
    if account.phone == other.phone {
        return Err(Error::invalid("nobody blocks oneself"));
    }
    if !blocklist::set(&world, &account, &other, wanted.block.unwrap_or(true), None) {
        return Err(Error::new(StatusCode::INSUFFICIENT_STORAGE, "full", "no room for one more who is blocked"));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Everybody without a linked client.
pub(super) async fn list(State(world): State<Arc<World>>) -> Json<Value> {
    let people: Vec<Value> =
        world.directory.all().iter().filter(|account| !account.state().paired).map(|account| view(account)).collect();
    Json(json!({"people": people}))
}

fn view(account: &Account) -> Value {
    let (name, habits) = {
        let state = account.state();
        (state.name.clone(), state.habits)
    };
    let handset = account.handset();
    json!({
        "phone": account.phone.to_string(),
        "jid": account.jid(PHONE, Addressing::Pn).to_string(),
        "lid": account.jid(PHONE, Addressing::Lid).to_string(),
        "name": name,
        "auto_read": habits.auto_read,
        "auto_receipt": habits.auto_receipt,
        "online": habits.online,
        "echo": habits.echo,
        "slow_ms": habits.slow_ms,
        "typing_ms": habits.typing_ms,
        "back_at_ms": habits.back_at_ms,
        "inbox": handset.inbox.len(),
        "undecryptable": handset.undecryptable,
        "retries_sent": handset.retries_sent,
        "receipts_delivered": handset.delivered,
        "receipts_read": handset.read,
    })
}

/// Changes a phone's name and habits; one that comes online takes what waited.
pub(super) async fn change(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let wanted = Wanted::read(&bytes)?;
    if wanted.phone.is_some() || wanted.count.is_some() {
        return Err(Error::invalid("a phone number and a count are for new people"));
    }
    let account = find(&world, &phone)?;
    if let Some(name) = wanted.name {
        account.state().name.clone_from(&name);
        world.handsets.submit(Job { account: Arc::clone(&account), task: Task::Rename { name } }).await;
    }
    if behave(&world, &account, &wanted.habits) {
        world.handsets.submit(Job { account: Arc::clone(&account), task: Task::Wake }).await;
    }
    Ok(Json(view(&account)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    ids: Vec<String>,
}

/// Sends read receipts for messages of the inbox.
pub(super) async fn read(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let read: Read = body(&bytes)?;
    let account = find(&world, &phone)?;
    let known = account.handset().inbox.by_ids(&read.ids).len();
    world.handsets.submit(Job { account, task: Task::Read { ids: read.ids } }).await;
    Ok(Json(json!({"read": known})))
}

#[derive(Deserialize)]
pub(super) struct Page {
    /// Only what this phone number sent.
    from: Option<String>,
    /// At most so many messages; 1,000 without it.
    limit: Option<usize>,
    /// Only what has a higher `order`.
    after: Option<u64>,
}

/// What a phone received, in the order of arrival.
pub(super) async fn inbox(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let from = match page.from.as_deref() {
        None => None,
        Some(text) => Some(parse_phone(text).ok_or_else(|| Error::invalid("from is not a phone number"))?.to_string()),
    };
    let after = page.after.unwrap_or(0);
    let limit = page.limit.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT * 10);
    let handset = account.handset();
    let messages: Vec<_> = handset
        .inbox
        .items()
        .filter(|item| item.order > after && from.as_ref().is_none_or(|from| *from == item.from))
        .take(limit)
        .cloned()
        .collect();
    Ok(Json(json!({
        "messages": messages,
        "undecryptable": handset.undecryptable,
        "retries_sent": handset.retries_sent,
    })))
}

/// Empties the inbox; a message that comes again afterwards counts as new.
pub(super) async fn clear_inbox(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<StatusCode> {
    let account = find(&world, &phone)?;
    account.handset().inbox.clear();
    account.touch();
    Ok(StatusCode::NO_CONTENT)
}

/// The phone forgets every Signal session and sender key, as after a reinstallation from a backup: what is encrypted
/// for it next cannot be opened, it asks again, and the sender has to encrypt anew.
pub(super) async fn forget_sessions(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let forgotten = {
        let mut handset = account.handset();
        handset.sessions.forget_all() + handset.sender_keys.forget_all()
    };
    account.touch();
    Ok(Json(json!({"forgotten": forgotten})))
}
