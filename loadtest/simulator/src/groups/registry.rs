//! Every group, found by number, by invite code, or by member.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rand::RngExt as _;

use super::{Group, Signed, State};
use crate::address::Addressing;
use crate::stanza;

/// Groups of one simulator.
const MAX_GROUPS: usize = 50_000;
/// Group numbers start with this and have twelve more digits, as WhatsApp's have.
const PREFIX: u64 = 120_363_000_000_000_000;

#[derive(Default)]
struct Index {
    by_id: HashMap<u64, Arc<Group>>,
    /// Valid and reset codes.
    by_code: HashMap<String, u64>,
    by_member: HashMap<u64, BTreeSet<u64>>,
    by_community: HashMap<u64, BTreeSet<u64>>,
}

/// The groups. Its locks are taken last and only for the time of a lookup.
#[derive(Default)]
pub(crate) struct Groups {
    index: RwLock<Index>,
    /// Groups that ended and whose files are still there.
    ended: Mutex<Vec<u64>>,
}

impl Groups {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Group>> {
        self.read().by_id.get(&id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// All groups, by number.
    pub(crate) fn all(&self) -> Vec<Arc<Group>> {
        let mut all: Vec<_> = self.read().by_id.values().cloned().collect();
        all.sort_unstable_by_key(|group| group.id);
        all
    }

    /// The groups this phone number is in, by number.
    pub(crate) fn of_member(&self, phone: u64) -> Vec<Arc<Group>> {
        let index = self.read();
        let Some(ids) = index.by_member.get(&phone) else { return Vec::new() };
        ids.iter().filter_map(|id| index.by_id.get(id).cloned()).collect()
    }

    /// The groups that belong to a community, by number.
    pub(crate) fn of_community(&self, community: u64) -> Vec<Arc<Group>> {
        let index = self.read();
        let Some(ids) = index.by_community.get(&community) else { return Vec::new() };
        ids.iter().filter_map(|id| index.by_id.get(id).cloned()).collect()
    }

    pub(super) fn tied(&self, id: u64, community: u64) {
        self.write().by_community.entry(community).or_default().insert(id);
    }

    pub(super) fn untied(&self, id: u64, community: u64) {
        let mut index = self.write();
        if let Some(ids) = index.by_community.get_mut(&community) {
            ids.remove(&id);
            if ids.is_empty() {
                index.by_community.remove(&community);
            }
        }
    }

    /// Everybody who shares a group with this phone number.
    pub(crate) fn fellows(&self, phone: u64) -> BTreeSet<u64> {
        let mut fellows: BTreeSet<u64> = self.of_member(phone).iter().flat_map(|group| group.members()).collect();
        fellows.remove(&phone);
        fellows
    }

    /// The group that has, or had, this invite code.
    pub(super) fn by_code(&self, code: &str) -> Option<Arc<Group>> {
        let index = self.read();
        index.by_code.get(code).and_then(|id| index.by_id.get(id)).cloned()
    }

    /// Makes a group without members; `None` when no more fit.
    pub(super) fn make(&self, creator: u64, addressing: Addressing, subject: Signed) -> Option<Arc<Group>> {
        let mut index = self.write();
        if index.by_id.len() >= MAX_GROUPS {
            return None;
        }
        // The range is ten million times larger than the limit, so this ends soon.
        let id = loop {
            let drawn = PREFIX + rand::rng().random_range(0..1_000_000_000_000);
            if !index.by_id.contains_key(&drawn) {
                break drawn;
            }
        };
        let state = State::new(subject);
        index.by_code.insert(state.invite.clone(), id);
        let group = Arc::new(Group::new(id, addressing, creator, stanza::unix_seconds(), state));
        index.by_id.insert(id, Arc::clone(&group));
        Some(group)
    }

    /// Adds a loaded group.
    pub(crate) fn insert(&self, group: Group) {
        let group = Arc::new(group);
        let (codes, members, parent) = {
            let state = group.state();
            let members = state.members.keys().copied().collect::<Vec<_>>();
            (state.codes().cloned().collect::<Vec<_>>(), members, state.ties.parent)
        };
        let mut index = self.write();
        if let Some(parent) = parent {
            index.by_community.entry(parent).or_default().insert(group.id);
        }
        for code in codes {
            index.by_code.insert(code, group.id);
        }
        for member in members {
            index.by_member.entry(member).or_default().insert(group.id);
        }
        index.by_id.insert(group.id, group);
    }

    pub(super) fn joined(&self, phone: u64, id: u64) {
        self.write().by_member.entry(phone).or_default().insert(id);
    }

    pub(super) fn left(&self, phone: u64, id: u64) {
        let mut index = self.write();
        if let Some(ids) = index.by_member.get_mut(&phone) {
            ids.remove(&id);
            if ids.is_empty() {
                index.by_member.remove(&phone);
            }
        }
    }

    pub(super) fn code_added(&self, code: &str, id: u64) {
        self.write().by_code.insert(code.to_owned(), id);
    }

    pub(super) fn code_forgotten(&self, code: &str) {
        self.write().by_code.remove(code);
    }

    /// Forgets a group that nobody is in any more.
    pub(super) fn end(&self, id: u64, state: &State) {
        let mut index = self.write();
        for code in state.codes() {
            index.by_code.remove(code);
        }
        index.by_id.remove(&id);
        if let Some(ids) = state.ties.parent.and_then(|parent| index.by_community.get_mut(&parent)) {
            ids.remove(&id);
        }
        drop(index);
        self.ended().push(id);
    }

    /// Groups whose files are to be removed.
    pub(super) fn ended(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
