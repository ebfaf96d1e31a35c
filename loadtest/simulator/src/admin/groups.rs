//! Groups, and what people do in them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Result, body, find};
use crate::account::Account;
use crate::address::parse_phone;
use crate::groups::community::Ties;
use crate::groups::{self, Change, Ephemeral, Group, Joined, MAX_MEMBERS, New, Rank, Refusal, Setting, Settings, view};
use crate::world::World;

/// Groups in one answer.
const PAGE_LIMIT: usize = 1_000;

impl From<Refusal> for Error {
    /// The refusals of the real server, with its code as the status.
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            code @ 400..=410 => StatusCode::from_u16(code).unwrap_or(StatusCode::FORBIDDEN),
            419 => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::FORBIDDEN,
        };
        Self::new(status, "refused", format!("{} ({})", refusal.text, refusal.code))
    }
}

/// The group of an address, with or without `@g.us`.
pub(super) fn find_group(world: &World, id: &str) -> Result<Arc<Group>> {
    let group = groups::parse_id(id).and_then(|id| world.groups.get(id));
    group.ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "no_group", "there is no such group"))
}

#[derive(Deserialize)]
pub(super) struct Page {
    /// Only groups this phone number is in.
    member: Option<String>,
    /// At most so many; 1,000 without it.
    limit: Option<usize>,
    /// Only groups behind this one.
    after: Option<String>,
}

/// Groups by number.
pub(super) async fn list(State(world): State<Arc<World>>, Query(page): Query<Page>) -> Result<Json<Value>> {
    let found = match page.member.as_deref() {
        None => world.groups.all(),
        Some(text) => {
            world.groups.of_member(parse_phone(text).ok_or_else(|| Error::invalid("member is not a phone number"))?)
        }
    };
    let after = match page.after.as_deref() {
        None => 0,
        Some(text) => groups::parse_id(text).ok_or_else(|| Error::invalid("after is not a group"))?,
    };
    let limit = page.limit.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT);
    let shown: Vec<Value> =
        found.iter().filter(|group| group.id > after).take(limit).map(|group| view::json(group)).collect();
    Ok(Json(json!({"groups": shown})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    subject: String,
    owner: String,
    #[serde(default)]
    participants: Vec<String>,
    description: Option<String>,
    #[serde(default)]
    announce: bool,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    admins_add: bool,
    #[serde(default)]
    approval: bool,
}

/// A phone makes a group.
pub(super) async fn create(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Value>> {
    let create: Create = body(&bytes)?;
    let owner = find(&world, &create.owner)?;
    let participants = people(&world, &create.participants)?;
    let settings = Settings {
        announce: create.announce,
        locked: create.locked,
        admins_add: create.admins_add,
        approval: create.approval,
        ephemeral: None,
    };
    let description = create.description.map(|text| (description_id(), text));
    let new = New { subject: create.subject, description, participants, settings, ties: Ties::default() };
    let (group, _) = groups::create(&world, &owner, new)?;
    Ok(Json(view::json(&group)))
}

pub(super) async fn show(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(Json(view::json(&*find_group(&world, &id)?)))
}

/// What a phone does in a group. Several at once are done in this order; the first that is refused ends it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Act {
    /// Whose phone does it.
    by: String,
    /// By the group's link.
    join: bool,
    subject: Option<String>,
    /// An empty one removes it.
    description: Option<String>,
    announce: Option<bool>,
    locked: Option<bool>,
    admins_add: Option<bool>,
    approval: Option<bool>,
    /// Messages disappear after so many seconds; 0 switches it off.
    ephemeral_seconds: Option<u32>,
    add: Vec<String>,
    remove: Vec<String>,
    promote: Vec<String>,
    demote: Vec<String>,
    approve: Vec<String>,
    reject: Vec<String>,
    reset_invite: bool,
    leave: bool,
}

/// A phone changes a group, joins or leaves it.
pub(super) async fn change(State(world): State<Arc<World>>, Path(id): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let act: Act = body(&bytes)?;
    let group = find_group(&world, &id)?;
    let by = find(&world, &act.by)?;
    let mut outcomes = Vec::new();
    let mut waiting = false;
    if act.join {
        let code = group.state().invite.clone();
        waiting = matches!(groups::join(&world, &by, &code)?, Joined::Waiting(_));
    }
    let change = Change { world: &world, group: &group, by: &by };
    act.describe(&change)?;
    act.set(&change)?;
    for (action, listed) in act.lists() {
        if listed.is_empty() {
            continue;
        }
        let people = people(&world, listed)?;
        let codes = match action {
            "add" => change.add(&people)?,
            "remove" => change.remove(&people)?,
            "promote" => change.rank(&people, Rank::Admin)?,
            "demote" => change.rank(&people, Rank::Member)?,
            "approve" => change.decide(&people, true)?,
            _ => change.decide(&people, false)?,
        };
        let named = people.iter().zip(codes);
        outcomes.extend(
            named.map(|(account, code)| json!({"action": action, "phone": account.phone.to_string(), "code": code})),
        );
    }
    if act.reset_invite {
        change.reset_invite()?;
    }
    if act.leave {
        change.leave()?;
    }
    Ok(Json(json!({"group": view::json(&group), "outcomes": outcomes, "waiting_for_approval": waiting})))
}

impl Act {
    fn describe(&self, change: &Change<'_>) -> Result<()> {
        if let Some(subject) = &self.subject {
            change.subject(subject.clone())?;
        }
        if let Some(text) = &self.description {
            let previous = change.group.state().description.as_ref().map(|description| description.id.clone());
            let text = (!text.is_empty()).then(|| text.clone());
            change.description(description_id(), text, previous.as_deref())?;
        }
        Ok(())
    }

    fn set(&self, change: &Change<'_>) -> Result<()> {
        let ephemeral = |seconds: u32| (seconds > 0).then_some(Ephemeral { expiration: seconds, trigger: None });
        let settings = [
            self.announce.map(Setting::Announce),
            self.locked.map(Setting::Locked),
            self.admins_add.map(Setting::AdminsAdd),
            self.approval.map(Setting::Approval),
            self.ephemeral_seconds.map(|seconds| Setting::Ephemeral(ephemeral(seconds))),
        ];
        for setting in settings.into_iter().flatten() {
            change.set(setting)?;
        }
        Ok(())
    }

    fn lists(&self) -> [(&'static str, &[String]); 6] {
        [
            ("add", &self.add),
            ("remove", &self.remove),
            ("promote", &self.promote),
            ("demote", &self.demote),
            ("approve", &self.approve),
            ("reject", &self.reject),
        ]
    }
}

fn people(world: &World, phones: &[String]) -> Result<Vec<Arc<Account>>> {
    if phones.len() > MAX_MEMBERS {
        return Err(Error::invalid(format!("a group has at most {MAX_MEMBERS} members")));
    }
    phones.iter().map(|phone| find(world, phone)).collect()
}

/// As clients make them: eight hex digits.
fn description_id() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    random.get(..8).unwrap_or(&random).to_owned()
}
