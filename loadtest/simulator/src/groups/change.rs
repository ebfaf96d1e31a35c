//! Changes to groups, with who may make them. Each is made, noted and announced under the group's lock.

use std::sync::{Arc, MutexGuard};

use super::community::{self, Ties};
use super::notice::{self, tell};
use super::{
    DESCRIPTION_LIMIT, Description, Group, MAX_MEMBERS, MAX_REQUESTS, REVOKED_LIMIT, Rank, Refusal, SUBJECT_LIMIT, Setting,
    Settings, Signed, State, new_code,
};
use crate::account::Account;
use crate::bundle;
use crate::privacy::{self, Matter};
use crate::stanza;
use crate::world::World;

/// The code of a person a change worked for.
const DONE: u16 = 200;

/// What a new group starts with.
pub(crate) struct New {
    pub(crate) subject: String,
    /// Its id and text.
    pub(crate) description: Option<(String, String)>,
    pub(crate) participants: Vec<Arc<Account>>,
    pub(crate) settings: Settings,
    pub(crate) ties: Ties,
}

/// Makes a group; answers it and the code of each participant.
pub(crate) fn create(world: &World, by: &Account, new: New) -> Result<(Arc<Group>, Vec<u16>), Refusal> {
    let subject = Signed { text: checked_subject(new.subject)?, by: by.phone, at: stanza::unix_seconds() };
    let description = new.description.map(|(id, text)| checked_description(id, text, by.phone)).transpose()?;
    if let Some(parent) = new.ties.parent {
        community::may_make_group(world, by, parent)?;
    }
    let group = world.groups.make(by.phone, bundle::addressing_of(by), subject).ok_or(Refusal::FULL)?;
    let codes = {
        let mut state = group.state();
        state.settings = new.settings;
        state.ties = new.ties;
        state.description = description;
        enter(world, &group, &mut state, by.phone, Rank::SuperAdmin);
        let codes = new.participants.iter().map(|account| admit(world, &group, &mut state, by, account)).collect();
        let everybody: Vec<u64> = state.members.keys().copied().collect();
        tell(world, &group, Some(by), everybody, notice::welcome(world, &group, &state, Some("new"), None));
        codes
    };
    group.touch();
    if let Some(parent) = new.ties.parent {
        world.groups.tied(group.id, parent);
        community::gather(world, by, parent, &group.members());
    }
    Ok((group, codes))
}

/// What came of a link.
pub(crate) enum Joined {
    Member(Arc<Group>),
    /// An admin has to approve it.
    Waiting(Arc<Group>),
}

/// The group of a code that is still valid.
pub(crate) fn behind(world: &World, code: &str) -> Result<Arc<Group>, Refusal> {
    let group = world.groups.by_code(code).ok_or(Refusal::NO_SUCH_CODE)?;
    if group.state().invite != code {
        return Err(Refusal::CODE_WAS_RESET);
    }
    Ok(group)
}

/// Joins by link.
pub(crate) fn join(world: &World, by: &Account, code: &str) -> Result<Joined, Refusal> {
    let group = behind(world, code)?;
    let mut state = group.state();
    if state.rank(by.phone).is_some() {
        return Err(Refusal::ALREADY_IN);
    }
    if state.removed.contains(&by.phone) {
        return Err(Refusal::WAS_REMOVED);
    }
    if state.members.len() >= MAX_MEMBERS {
        return Err(Refusal::FULL);
    }
    group.touch();
    if state.settings.approval {
        if state.requests.len() >= MAX_REQUESTS {
            return Err(Refusal::FULL);
        }
        if state.requests.insert(by.phone, stanza::unix_seconds()).is_none() {
            tell(world, &group, Some(by), state.admins(), notice::request(world, &group, by.phone));
        }
        drop(state);
        return Ok(Joined::Waiting(group));
    }
    take_in(world, &group, &mut state, by, &[by.phone], Some("invite"));
    drop(state);
    Ok(Joined::Member(group))
}

/// Somebody about to change a group.
pub(crate) struct Change<'a> {
    pub(crate) world: &'a World,
    pub(crate) group: &'a Group,
    pub(crate) by: &'a Account,
}

impl Change<'_> {
    pub(crate) fn subject(&self, text: String) -> Result<(), Refusal> {
        let text = checked_subject(text)?;
        let mut state = self.describing()?;
        state.subject = Signed { text, by: self.by.phone, at: stanza::unix_seconds() };
        let action = notice::subject(self.world, self.group, &state);
        self.announce(&state, action);
        Ok(())
    }

    /// Sets or, without a text, removes the description. `previous` is the id the author has seen; `None` when it was
    /// not asked for one.
    pub(crate) fn description(&self, id: String, text: Option<String>, previous: Option<&str>) -> Result<(), Refusal> {
        let description = text.map(|text| checked_description(id.clone(), text, self.by.phone)).transpose()?;
        let mut state = self.describing()?;
        if state.description.as_ref().map(|description| description.id.as_str()) != previous {
            return Err(Refusal::STALE_DESCRIPTION);
        }
        state.description = description;
        let action = notice::description(&id, state.description.as_ref());
        self.announce(&state, action);
        Ok(())
    }

    pub(crate) fn set(&self, setting: Setting) -> Result<(), Refusal> {
        let mut state = self.admin(Refusal::NOT_AN_ADMIN)?;
        let settings = &mut state.settings;
        match setting {
            Setting::Announce(on) => settings.announce = on,
            Setting::Locked(on) => settings.locked = on,
            Setting::AdminsAdd(on) => settings.admins_add = on,
            Setting::Approval(on) => settings.approval = on,
            Setting::Ephemeral(ephemeral) => settings.ephemeral = ephemeral,
        }
        self.announce(&state, notice::setting(setting));
        Ok(())
    }

    /// Adds people; answers the code of each.
    pub(crate) fn add(&self, people: &[Arc<Account>]) -> Result<Vec<u16>, Refusal> {
        let mut state = self.member()?;
        if state.settings.admins_add && !state.rank(self.by.phone).is_some_and(Rank::is_admin) {
            return Err(Refusal::NOT_AN_ADMIN);
        }
        let mut left = MAX_MEMBERS.saturating_sub(state.members.len());
        let mut taken: Vec<u64> = Vec::new();
        let codes = people
            .iter()
            .map(|account| {
                if state.members.contains_key(&account.phone) || taken.contains(&account.phone) {
                    return Refusal::ALREADY_IN.code;
                }
                if left == 0 {
                    return Refusal::FULL.code;
                }
                if !privacy::allows(account, self.by, Matter::GroupAdd) {
                    return Refusal::NOT_ADDED.code;
                }
                left -= 1;
                taken.push(account.phone);
                DONE
            })
            .collect();
        take_in(self.world, self.group, &mut state, self.by, &taken, None);
        let ties = state.ties;
        drop(state);
        // Who is in a group of a community is in the community, and who is in the community hears its announcements.
        if let Some(parent) = ties.parent.or(ties.community.map(|_| self.group.id)) {
            community::gather(self.world, self.by, parent, &taken);
        }
        Ok(codes)
    }

    /// Removes people; answers the code of each.
    pub(crate) fn remove(&self, people: &[Arc<Account>]) -> Result<Vec<u16>, Refusal> {
        let mut state = self.admin(Refusal::NOT_AN_ADMIN)?;
        let before: Vec<u64> = state.members.keys().copied().collect();
        let mut gone = Vec::new();
        let codes = people
            .iter()
            .map(|account| match state.rank(account.phone) {
                None => Refusal::NOT_HERE.code,
                Some(Rank::SuperAdmin) if account.phone != self.by.phone => Refusal::OWNER_STAYS.code,
                Some(_) => {
                    state.members.remove(&account.phone);
                    state.remember_removed(account.phone);
                    self.world.groups.left(account.phone, self.group.id);
                    gone.push((account.phone, Rank::Member));
                    DONE
                }
            })
            .collect();
        if !gone.is_empty() {
            let action = notice::members(self.world, self.group, "remove", &gone, None);
            tell(self.world, self.group, Some(self.by), before, action);
            self.settle(&mut state);
        }
        Ok(codes)
    }

    /// Makes people admins, or members again; answers the code of each.
    pub(crate) fn rank(&self, people: &[Arc<Account>], rank: Rank) -> Result<Vec<u16>, Refusal> {
        let mut state = self.admin(Refusal::NOT_AN_ADMIN)?;
        let mut changed = Vec::new();
        let codes = people
            .iter()
            .map(|account| match state.members.get_mut(&account.phone) {
                None => Refusal::NOT_HERE.code,
                Some(member) if member.rank == Rank::SuperAdmin && !rank.is_admin() => Refusal::OWNER_STAYS.code,
                Some(member) if member.rank == Rank::SuperAdmin => DONE,
                Some(member) => {
                    member.rank = rank;
                    changed.push((account.phone, rank));
                    DONE
                }
            })
            .collect();
        if !changed.is_empty() {
            let tag = if rank.is_admin() { "promote" } else { "demote" };
            let action = notice::members(self.world, self.group, tag, &changed, None);
            self.announce(&state, action);
        }
        Ok(codes)
    }

    pub(crate) fn leave(&self) -> Result<(), Refusal> {
        let mut state = self.member()?;
        let before: Vec<u64> = state.members.keys().copied().collect();
        state.members.remove(&self.by.phone);
        self.world.groups.left(self.by.phone, self.group.id);
        let action = notice::members(self.world, self.group, "remove", &[(self.by.phone, Rank::Member)], None);
        tell(self.world, self.group, Some(self.by), before, action);
        self.settle(&mut state);
        Ok(())
    }

    /// The invite code.
    pub(crate) fn invite(&self) -> Result<String, Refusal> {
        Ok(self.admin(Refusal::NO_LINK_FOR_MEMBERS)?.invite.clone())
    }

    /// Voids the invite code; answers the new one. What exactly members are told is a guess.
    pub(crate) fn reset_invite(&self) -> Result<String, Refusal> {
        let mut state = self.admin(Refusal::NO_LINK_FOR_MEMBERS)?;
        let old = std::mem::replace(&mut state.invite, new_code());
        state.revoked.push_back(old);
        if state.revoked.len() > REVOKED_LIMIT
            && let Some(forgotten) = state.revoked.pop_front()
        {
            self.world.groups.code_forgotten(&forgotten);
        }
        self.world.groups.code_added(&state.invite, self.group.id);
        self.announce(&state, stanza::leaf("revoke"));
        Ok(state.invite.clone())
    }

    /// Who asked to join, and when.
    pub(crate) fn requests(&self) -> Result<Vec<(u64, u64)>, Refusal> {
        let state = self.admin(Refusal::NOT_AN_ADMIN)?;
        Ok(state.requests.iter().map(|(phone, at)| (*phone, *at)).collect())
    }

    /// Lets people in who asked to join, or turns them away; answers the code of each.
    pub(crate) fn decide(&self, people: &[Arc<Account>], approve: bool) -> Result<Vec<u16>, Refusal> {
        let mut state = self.admin(Refusal::NOT_AN_ADMIN)?;
        let mut decided = Vec::new();
        let codes = people
            .iter()
            .map(|account| {
                if !state.requests.contains_key(&account.phone) {
                    return Refusal::NOT_HERE.code;
                }
                if approve && state.members.len() + decided.len() >= MAX_MEMBERS {
                    return Refusal::FULL.code;
                }
                state.requests.remove(&account.phone);
                decided.push(account.phone);
                DONE
            })
            .collect();
        if approve {
            take_in(self.world, self.group, &mut state, self.by, &decided, Some("invite"));
        } else {
            self.turn_away(&state, &decided);
        }
        Ok(codes)
    }

    /// Withdraws the author's own request to join.
    pub(crate) fn withdraw(&self) -> Result<(), Refusal> {
        let mut state = self.group.state();
        if state.requests.remove(&self.by.phone).is_none() {
            return Err(Refusal::NOT_HERE);
        }
        self.turn_away(&state, &[self.by.phone]);
        Ok(())
    }

    fn turn_away(&self, state: &State, people: &[u64]) {
        if people.is_empty() {
            return;
        }
        let concerned = state.admins().into_iter().chain(people.iter().copied());
        tell(self.world, self.group, Some(self.by), concerned, notice::requests_gone(self.world, self.group, people));
        self.group.touch();
    }

    pub(super) fn member(&self) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.group.state();
        if state.rank(self.by.phone).is_none() { Err(Refusal::NOT_A_MEMBER) } else { Ok(state) }
    }

    fn admin(&self, refusal: Refusal) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.member()?;
        if state.rank(self.by.phone).is_some_and(Rank::is_admin) { Ok(state) } else { Err(refusal) }
    }

    /// For subject and description: a member, in a locked group an admin.
    pub(super) fn describing(&self) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.member()?;
        let admin = state.rank(self.by.phone).is_some_and(Rank::is_admin);
        if state.settings.locked && !admin { Err(Refusal::NOT_AN_ADMIN) } else { Ok(state) }
    }

    /// Tells every member.
    fn announce(&self, state: &State, action: wacore_binary::Node) {
        tell(self.world, self.group, Some(self.by), state.members.keys().copied(), action);
        self.group.touch();
    }

    /// After somebody went: a group without admins gets the one who is in it for longest, one without members ends.
    fn settle(&self, state: &mut State) {
        self.group.touch();
        if state.members.is_empty() {
            self.world.groups.end(self.group.id, state);
            return;
        }
        if state.members.values().any(|member| member.rank.is_admin()) {
            return;
        }
        let heir = state.members.iter_mut().min_by_key(|(_, member)| member.joined);
        let Some((heir, member)) = heir else { return };
        member.rank = Rank::Admin;
        let action = notice::members(self.world, self.group, "promote", &[(*heir, Rank::Admin)], None);
        tell(self.world, self.group, None, state.members.keys().copied(), action);
    }
}

fn enter(world: &World, group: &Group, state: &mut State, phone: u64, rank: Rank) {
    state.admit(phone, rank);
    world.groups.joined(phone, group.id);
}

/// Takes a participant of a new group in.
fn admit(world: &World, group: &Group, state: &mut State, by: &Account, account: &Account) -> u16 {
    if state.members.contains_key(&account.phone) {
        return Refusal::ALREADY_IN.code;
    }
    if state.members.len() >= MAX_MEMBERS {
        return Refusal::FULL.code;
    }
    if !privacy::allows(account, by, Matter::GroupAdd) {
        return Refusal::NOT_ADDED.code;
    }
    enter(world, group, state, account.phone, Rank::Member);
    DONE
}

/// Takes people in: the others learn who came, the new ones learn what they came to.
pub(super) fn take_in(world: &World, group: &Group, state: &mut State, by: &Account, people: &[u64], reason: Option<&str>) {
    if people.is_empty() {
        return;
    }
    let before: Vec<u64> = state.members.keys().copied().collect();
    for phone in people {
        enter(world, group, state, *phone, Rank::Member);
    }
    let came: Vec<(u64, Rank)> = people.iter().map(|phone| (*phone, Rank::Member)).collect();
    tell(world, group, Some(by), before, notice::members(world, group, "add", &came, reason));
    tell(world, group, Some(by), people.iter().copied(), notice::welcome(world, group, state, None, reason));
    group.touch();
}

fn checked_subject(text: String) -> Result<String, Refusal> {
    let fits = !text.trim().is_empty() && text.chars().count() <= SUBJECT_LIMIT;
    if fits { Ok(text) } else { Err(Refusal::BAD_TEXT) }
}

fn checked_description(id: String, text: String, by: u64) -> Result<Description, Refusal> {
    if id.is_empty() || id.len() > 64 || text.chars().count() > DESCRIPTION_LIMIT {
        return Err(Refusal::BAD_TEXT);
    }
    Ok(Description { id, signed: Signed { text, by, at: stanza::unix_seconds() } })
}
