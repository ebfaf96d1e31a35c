//! Groups: who is in, what they may, what they are called. Their messages are end-to-end encrypted with sender keys, so
//! the server knows the members and nothing of what they say.
//!
//! Not known about the real server, and guessed here: which of the codes of [`Refusal`] it uses where; each says so.

mod change;
pub(crate) mod community;
mod notice;
pub(crate) mod picture;
mod registry;
pub(crate) mod relay;
pub(crate) mod store;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::distr::{Alphanumeric, SampleString as _};
use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, JidExt as _, Server};

use crate::address::Addressing;
use crate::profile::Picture;
use crate::stanza;
use crate::world::World;

use community::Ties;

pub(crate) use change::{Change, Joined, New, behind, create, join};
pub(crate) use registry::Groups;

/// Members of one group. WhatsApp's own limit.
pub(crate) const MAX_MEMBERS: usize = 1_024;
/// Characters of a subject and of a description. WhatsApp's own limits.
pub(crate) const SUBJECT_LIMIT: usize = 100;
pub(crate) const DESCRIPTION_LIMIT: usize = 2_048;
/// Requests to join that wait in one group.
const MAX_REQUESTS: usize = 1_024;
/// Invite codes of one group that were reset and are still told apart from codes that never existed.
const REVOKED_LIMIT: usize = 16;
/// People remembered as removed from one group, who may not come back by link.
const REMOVED_LIMIT: usize = 1_024;
/// Length of an invite code.
const CODE_LENGTH: usize = 22;

/// Why something is refused: the code and text of an IQ error, or of a participant's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: &'static str,
}

impl Refusal {
    pub(crate) const MALFORMED: Self = Self { code: 400, text: "bad-request" };
    /// Clients know this code for the invite link; that everything else is 403 is a guess.
    pub(crate) const NO_LINK_FOR_MEMBERS: Self = Self { code: 401, text: "not-authorized" };
    pub(crate) const NOT_A_MEMBER: Self = Self { code: 403, text: "forbidden" };
    pub(crate) const NOT_AN_ADMIN: Self = Self { code: 403, text: "forbidden" };
    /// Who lets only some people add them to groups is asked in another way.
    pub(crate) const NOT_ADDED: Self = Self { code: 403, text: "forbidden" };
    /// Nobody else removes or demotes the one who made the group. The code is a guess.
    pub(crate) const OWNER_STAYS: Self = Self { code: 403, text: "forbidden" };
    pub(crate) const NOT_A_COMMUNITY: Self = Self { code: 400, text: "bad-request" };
    pub(crate) const NO_GROUP: Self = Self { code: 404, text: "item-not-found" };
    pub(crate) const NOT_HERE: Self = Self { code: 404, text: "item-not-found" };
    /// Who was removed by an admin does not come back by link.
    pub(crate) const WAS_REMOVED: Self = Self { code: 405, text: "not-allowed" };
    pub(crate) const NO_SUCH_CODE: Self = Self { code: 406, text: "not-acceptable" };
    /// An empty subject, or a text above its limit. The code is a guess.
    pub(crate) const BAD_TEXT: Self = Self { code: 406, text: "not-acceptable" };
    pub(crate) const ALREADY_IN: Self = Self { code: 409, text: "conflict" };
    /// The description changed since the client last saw it.
    pub(crate) const STALE_DESCRIPTION: Self = Self { code: 409, text: "conflict" };
    pub(crate) const CODE_WAS_RESET: Self = Self { code: 410, text: "gone" };
    pub(crate) const FULL: Self = Self { code: 419, text: "resource-limit" };
    /// A message of a member to a group where only admins write. The code is a guess.
    pub(crate) const ADMINS_ONLY: Self = Self { code: 420, text: "not-allowed" };
    /// A post to `status@broadcast` with an addressing mode (`wacore::send::group`).
    pub(crate) const BAD_POST: Self = Self { code: 479, text: "smax-invalid" };
    /// A message addressed by phone number to a group that uses LIDs, or the other way round.
    pub(crate) const WRONG_ADDRESSING: Self = Self { code: 421, text: "stale-addressing-mode" };
}

/// What somebody may do in a group. Ordered: each may what the ones before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rank {
    Member,
    Admin,
    /// The one who made the group.
    SuperAdmin,
}

impl Rank {
    pub(crate) fn is_admin(self) -> bool {
        self >= Self::Admin
    }

    /// As it stands in a `<participant type>`; members have none.
    pub(crate) fn wire(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// One member.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) rank: Rank,
    /// In Unix seconds.
    pub(crate) joined: u64,
}

/// A text with its author (a phone number) and time (Unix seconds).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Signed {
    pub(crate) text: String,
    pub(crate) by: u64,
    pub(crate) at: u64,
}

/// A description with the id clients name when they replace it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) signed: Signed,
}

/// For how long messages stay, in seconds, and what the client says caused it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ephemeral {
    pub(crate) expiration: u32,
    pub(crate) trigger: Option<u32>,
}

/// What the members may and how joining goes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Only admins write.
    pub(crate) announce: bool,
    /// Only admins change subject and description.
    pub(crate) locked: bool,
    /// Only admins add people.
    pub(crate) admins_add: bool,
    /// Joining by link waits for an admin.
    pub(crate) approval: bool,
    pub(crate) ephemeral: Option<Ephemeral>,
}

/// One change of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setting {
    Announce(bool),
    Locked(bool),
    AdminsAdd(bool),
    Approval(bool),
    Ephemeral(Option<Ephemeral>),
}

/// A group. Whoever holds its `state` may take locks of accounts and of the registry; never the other way round, and
/// never two groups at a time. Messages and notifications are queued under it, so every member sees one order of both.
pub(crate) struct Group {
    pub(crate) id: u64,
    /// By which of their names its members address each other: as the maker's account does.
    pub(crate) addressing: Addressing,
    pub(crate) creator: u64,
    /// In Unix seconds.
    pub(crate) created: u64,
    state: Mutex<State>,
    dirty: AtomicBool,
}

/// What changes about a group. People are phone numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) subject: Signed,
    pub(crate) description: Option<Description>,
    #[serde(default)]
    pub(crate) picture: Option<Picture>,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) settings: Settings,
    #[serde(default)]
    pub(crate) ties: Ties,
    /// Who asked to join, and when.
    pub(crate) requests: BTreeMap<u64, u64>,
    pub(crate) invite: String,
    /// Reset invite codes, oldest first.
    revoked: VecDeque<String>,
    /// Who an admin removed, until somebody adds them again.
    removed: BTreeSet<u64>,
}

impl State {
    fn new(subject: Signed) -> Self {
        Self {
            subject,
            description: None,
            picture: None,
            members: BTreeMap::new(),
            settings: Settings::default(),
            ties: Ties::default(),
            requests: BTreeMap::new(),
            invite: new_code(),
            revoked: VecDeque::new(),
            removed: BTreeSet::new(),
        }
    }

    pub(crate) fn rank(&self, phone: u64) -> Option<Rank> {
        self.members.get(&phone).map(|member| member.rank)
    }

    fn admins(&self) -> Vec<u64> {
        self.members.iter().filter(|(_, member)| member.rank.is_admin()).map(|(phone, _)| *phone).collect()
    }

    /// Every code that was or is this group's.
    fn codes(&self) -> impl Iterator<Item = &String> {
        self.revoked.iter().chain(std::iter::once(&self.invite))
    }

    fn admit(&mut self, phone: u64, rank: Rank) {
        self.members.insert(phone, Member { rank, joined: stanza::unix_seconds() });
        self.requests.remove(&phone);
        self.removed.remove(&phone);
    }

    fn remember_removed(&mut self, phone: u64) {
        if self.removed.len() >= REMOVED_LIMIT {
            self.removed.pop_first();
        }
        self.removed.insert(phone);
    }
}

impl Group {
    fn new(id: u64, addressing: Addressing, creator: u64, created: u64, state: State) -> Self {
        Self { id, addressing, creator, created, state: Mutex::new(state), dirty: AtomicBool::new(true) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn jid(&self) -> Jid {
        jid(self.id)
    }

    /// The members' phone numbers.
    pub(crate) fn members(&self) -> Vec<u64> {
        self.state().members.keys().copied().collect()
    }

    /// Whether this account may write to the group now.
    pub(crate) fn may_write(&self, phone: u64) -> Result<(), Refusal> {
        let state = self.state();
        match state.rank(phone) {
            // Which code the real server has for people who are not in the group is a guess.
            None => Err(Refusal::NOT_A_MEMBER),
            Some(rank) if state.settings.announce && !rank.is_admin() => Err(Refusal::ADMINS_ONLY),
            Some(_) => Ok(()),
        }
    }

    /// Something worth a snapshot changed.
    fn touch(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }
}

/// The number under which phones and receipts know `status@broadcast`: like a group, it names the author beside the chat,
/// and its messages are under sender keys. No group has it.
pub(crate) const STATUS: u64 = 0;

/// `<digits>@g.us`, or `status@broadcast`.
pub(crate) fn jid(id: u64) -> Jid {
    if id == STATUS { Jid::status_broadcast() } else { Jid::group(id.to_string()) }
}

/// The number of a group's address. Groups of the old form (`<phone>-<time>@g.us`) are not made here.
pub(crate) fn id_of(jid: &Jid) -> Option<u64> {
    if jid.is_status_broadcast() {
        return Some(STATUS);
    }
    (jid.server == Server::Group).then(|| jid.user.parse().ok()).flatten()
}

/// By which of their names the people of a chat are addressed; by phone number in a group that is not there.
pub(crate) fn addressing_in(world: &World, chat: &Jid) -> Addressing {
    let of_group = || id_of(chat).and_then(|id| world.groups.get(id)).map(|group| group.addressing);
    Addressing::of(chat).or_else(of_group).unwrap_or(Addressing::Pn)
}

/// A group as people write it: its digits, with or without `@g.us`.
pub(crate) fn parse_id(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "status@broadcast" { Some(STATUS) } else { text.trim_end_matches("@g.us").parse().ok() }
}

/// The attribute value clients know an addressing by.
pub(crate) fn mode(addressing: Addressing) -> &'static str {
    match addressing {
        Addressing::Pn => "pn",
        Addressing::Lid => "lid",
    }
}

fn new_code() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), CODE_LENGTH)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_groups_have_a_group_number() {
        assert_eq!(id_of(&"120363000000000001@g.us".parse().unwrap()), Some(120_363_000_000_000_001));
        for other in ["6281100000001@s.whatsapp.net", "6281100000001-1400000000@g.us", "1@lid"] {
            assert_eq!(id_of(&other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(parse_id("120363000000000001"), parse_id(" 120363000000000001@g.us "));
    }

    #[test]
    fn announcements_are_for_admins() {
        let group = Group::new(1, Addressing::Pn, 7, 0, State::new(Signed { text: "x".into(), by: 7, at: 0 }));
        group.state().admit(7, Rank::SuperAdmin);
        group.state().admit(8, Rank::Member);
        assert_eq!(group.may_write(8), Ok(()));
        group.state().settings.announce = true;
        assert_eq!(group.may_write(7), Ok(()));
        assert_eq!(group.may_write(8), Err(Refusal::ADMINS_ONLY));
        assert_eq!(group.may_write(9), Err(Refusal::NOT_A_MEMBER));
    }

    #[test]
    fn who_was_removed_is_remembered_until_admitted_again() {
        let mut state = State::new(Signed { text: "x".into(), by: 7, at: 0 });
        state.requests.insert(8, 1);
        state.remember_removed(8);
        state.admit(8, Rank::Member);
        assert!(state.removed.is_empty() && state.requests.is_empty());
        for phone in 0..2_000 {
            state.remember_removed(phone);
        }
        assert_eq!(state.removed.len(), REMOVED_LIMIT);
    }
}
