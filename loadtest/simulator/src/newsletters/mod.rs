//! Newsletters, which people call channels: one side writes, everybody may follow. Their posts are not encrypted end to
//! end, so the server has them, numbers them, and counts the reactions.

mod post;
mod store;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rand::RngExt as _;
use rand::distr::{Alphanumeric, SampleString as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wacore_binary::{Jid, Server};

use crate::stanza;

pub(crate) use post::receive;
pub(crate) use store::{load, write_dirty};

/// Newsletters of one simulator.
const MAX_NEWSLETTERS: usize = 10_000;
/// Followers of one.
const MAX_FOLLOWERS: usize = 10_000;
/// Posts kept of one; the oldest goes.
const MAX_POSTS: usize = 1_000;
/// Accounts that are told of changes of posts as they happen, of one newsletter.
const MAX_WATCHERS: usize = 1_024;
/// For how long they are, in seconds. A guess.
pub(crate) const WATCH_SECONDS: u64 = 300;
/// Characters of a name and of a description.
const NAME_LIMIT: usize = 100;
const DESCRIPTION_LIMIT: usize = 2_048;
/// Numbers start with this and have twelve more digits, as WhatsApp's have.
const PREFIX: u64 = 120_363_000_000_000_000;
const CODE_LENGTH: usize = 22;

/// Why something about a newsletter is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    NotTheOwner,
    BadText,
    Full,
}

impl Refusal {
    /// The code of an ack, an IQ or a GraphQL error.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Unknown => 404,
            Self::NotTheOwner => 403,
            Self::BadText => 400,
            Self::Full => 419,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Unknown => "item-not-found",
            Self::NotTheOwner => "forbidden",
            Self::BadText => "bad-request",
            Self::Full => "resource-limit",
        }
    }
}

/// One post, as its author's client encoded it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Post {
    server_id: u64,
    id: String,
    author: u64,
    /// In Unix seconds.
    at: u64,
    kind: String,
    media: Option<String>,
    plaintext: Vec<u8>,
    /// By phone number.
    reactions: BTreeMap<u64, String>,
}

impl Post {
    fn counts(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for code in self.reactions.values() {
            *counts.entry(code.as_str()).or_default() += 1;
        }
        counts
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    name: String,
    description: String,
    /// When name and description were set last, in microseconds, as clients compare them.
    updated: u64,
    /// Phone numbers, the owner's among them while it follows.
    followers: BTreeMap<u64, Follower>,
    posts: VecDeque<Post>,
    next_server_id: u64,
    /// Who is told of changes as they happen, until when in Unix seconds.
    #[serde(skip)]
    watchers: HashMap<u64, u64>,
}

/// What a follower wants.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Follower {
    muted: bool,
}

/// A newsletter. Its lock may be held while locks of accounts are taken; never the other way round.
pub(crate) struct Newsletter {
    pub(crate) id: u64,
    owner: u64,
    created: u64,
    invite: String,
    state: Mutex<State>,
    dirty: AtomicBool,
}

impl Newsletter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn jid(&self) -> Jid {
        Jid::new(self.id.to_string(), Server::Newsletter)
    }

    fn touch(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// As `w:mex` shows it to somebody.
    pub(crate) fn view(&self, viewer: u64) -> Value {
        let state = self.state();
        let role = match state.followers.get(&viewer) {
            _ if viewer == self.owner => "owner",
            Some(_) => "subscriber",
            None => "guest",
        };
        let muted = state.followers.get(&viewer).is_some_and(|follower| follower.muted);
        let text =
            |text: &str| json!({"id": state.updated.to_string(), "text": text, "update_time": state.updated.to_string()});
        json!({
            "id": self.jid().to_string(),
            "state": {"type": "ACTIVE"},
            "thread_metadata": {
                "creation_time": self.created.to_string(),
                "name": text(&state.name),
                "description": text(&state.description),
                "invite": self.invite,
                "handle": null,
                "subscribers_count": state.followers.len().to_string(),
                "verification": "UNVERIFIED",
                "settings": {"reaction_codes": {"value": "ALL"}},
            },
            "viewer_metadata": {"role": role, "mute": if muted { "ON" } else { "OFF" }},
        })
    }

    pub(crate) fn follow(&self, phone: u64) -> Result<(), Refusal> {
        let mut state = self.state();
        if !state.followers.contains_key(&phone) && state.followers.len() >= MAX_FOLLOWERS {
            return Err(Refusal::Full);
        }
        state.followers.entry(phone).or_default();
        drop(state);
        self.touch();
        Ok(())
    }

    pub(crate) fn unfollow(&self, phone: u64) {
        let mut state = self.state();
        state.followers.remove(&phone);
        state.watchers.remove(&phone);
        drop(state);
        self.touch();
    }

    pub(crate) fn mute(&self, phone: u64, muted: bool) -> Result<(), Refusal> {
        self.state().followers.get_mut(&phone).ok_or(Refusal::Unknown)?.muted = muted;
        self.touch();
        Ok(())
    }

    pub(crate) fn rename(&self, by: u64, name: Option<String>, description: Option<String>) -> Result<(), Refusal> {
        if by != self.owner {
            return Err(Refusal::NotTheOwner);
        }
        let name = name.map(checked_name).transpose()?;
        let description = description.map(checked_description).transpose()?;
        let mut state = self.state();
        if let Some(name) = name {
            state.name = name;
        }
        if let Some(description) = description {
            state.description = description;
        }
        state.updated = now_micros();
        drop(state);
        self.touch();
        Ok(())
    }

    /// From now on, for [`WATCH_SECONDS`], this account is told of changes as they happen.
    pub(crate) fn watch(&self, phone: u64) -> Result<(), Refusal> {
        let now = stanza::unix_seconds();
        let mut state = self.state();
        state.watchers.retain(|_, until| *until > now);
        if state.watchers.len() >= MAX_WATCHERS {
            return Err(Refusal::Full);
        }
        state.watchers.insert(phone, now + WATCH_SECONDS);
        Ok(())
    }
}

fn checked_name(name: String) -> Result<String, Refusal> {
    let fits = !name.trim().is_empty() && name.chars().count() <= NAME_LIMIT;
    if fits { Ok(name) } else { Err(Refusal::BadText) }
}

fn checked_description(text: String) -> Result<String, Refusal> {
    if text.chars().count() <= DESCRIPTION_LIMIT { Ok(text) } else { Err(Refusal::BadText) }
}

fn now_micros() -> u64 {
    stanza::unix_millis().saturating_mul(1_000)
}

#[derive(Default)]
struct Index {
    by_id: BTreeMap<u64, Arc<Newsletter>>,
    by_invite: HashMap<String, u64>,
    /// Ended, with files that are still there.
    ended: Vec<u64>,
}

/// Every newsletter.
#[derive(Default)]
pub(crate) struct Newsletters {
    index: RwLock<Index>,
}

impl Newsletters {
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, jid: &Jid) -> Result<Arc<Newsletter>, Refusal> {
        let id = (jid.server == Server::Newsletter).then(|| jid.user.parse::<u64>().ok()).flatten();
        id.and_then(|id| self.read().by_id.get(&id).cloned()).ok_or(Refusal::Unknown)
    }

    pub(crate) fn by_invite(&self, code: &str) -> Result<Arc<Newsletter>, Refusal> {
        let index = self.read();
        index.by_invite.get(code).and_then(|id| index.by_id.get(id)).cloned().ok_or(Refusal::Unknown)
    }

    /// Those that an account follows.
    pub(crate) fn followed(&self, phone: u64) -> Vec<Arc<Newsletter>> {
        let all: Vec<_> = self.read().by_id.values().cloned().collect();
        all.into_iter().filter(|newsletter| newsletter.state().followers.contains_key(&phone)).collect()
    }

    pub(crate) fn make(&self, owner: u64, name: String, description: Option<String>) -> Result<Arc<Newsletter>, Refusal> {
        let state = State {
            name: checked_name(name)?,
            description: checked_description(description.unwrap_or_default())?,
            updated: now_micros(),
            followers: BTreeMap::from([(owner, Follower::default())]),
            posts: VecDeque::new(),
            next_server_id: 100,
            watchers: HashMap::new(),
        };
        let mut index = self.write();
        if index.by_id.len() >= MAX_NEWSLETTERS {
            return Err(Refusal::Full);
        }
        // The range is a hundred million times larger than the limit, so this ends soon.
        let id = loop {
            let drawn = PREFIX + rand::rng().random_range(0..1_000_000_000_000);
            if !index.by_id.contains_key(&drawn) {
                break drawn;
            }
        };
        let invite = Alphanumeric.sample_string(&mut rand::rng(), CODE_LENGTH);
        let (created, state, dirty) = (stanza::unix_seconds(), Mutex::new(state), AtomicBool::new(true));
        let made = Arc::new(Newsletter { id, owner, created, invite: invite.clone(), state, dirty });
        index.by_invite.insert(invite, id);
        index.by_id.insert(id, Arc::clone(&made));
        Ok(made)
    }

    /// Adds a loaded one.
    pub(crate) fn insert(&self, newsletter: Newsletter) {
        let mut index = self.write();
        index.by_invite.insert(newsletter.invite.clone(), newsletter.id);
        index.by_id.insert(newsletter.id, Arc::new(newsletter));
    }

    /// Ends one, by its owner.
    pub(crate) fn end(&self, newsletter: &Newsletter, by: u64) -> Result<(), Refusal> {
        if by != newsletter.owner {
            return Err(Refusal::NotTheOwner);
        }
        let mut index = self.write();
        index.by_invite.remove(&newsletter.invite);
        index.by_id.remove(&newsletter.id);
        index.ended.push(newsletter.id);
        Ok(())
    }
}

/// Where the newsletters are kept, below the state's folder.
fn folder(dir: &Path) -> anyhow::Result<std::path::PathBuf> {
    crate::snapshot::folder(dir, store::FOLDER)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_changes_it_and_everybody_finds_it() {
        let all = Newsletters::default();
        assert_eq!(all.make(7, "  ".to_owned(), None).err(), Some(Refusal::BadText));
        let made = all.make(7, "News".to_owned(), None).unwrap();
        assert_eq!(made.rename(8, Some("Mine".to_owned()), None), Err(Refusal::NotTheOwner));
        made.rename(7, None, Some("about".to_owned())).unwrap();
        assert_eq!(all.by_invite(&made.invite).unwrap().id, made.id);
        assert!(all.followed(8).is_empty());
        made.follow(8).unwrap();
        assert_eq!(made.view(8)["viewer_metadata"]["role"], "subscriber");
        assert_eq!(made.view(9)["viewer_metadata"]["role"], "guest");
        all.end(&made, 7).unwrap();
        assert_eq!(all.get(&made.jid()).err(), Some(Refusal::Unknown));
    }
}
