//! Communities: a group of groups. Its members find the groups that belong to it and join them; one of those is for its
//! announcements and has everybody in it. Ranks are told apart in every group; who is admin of the community ties groups to
//! it. Not known, and guessed: the codes of [`Refusal`] that are used here.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::change::{Change, New, create, take_in};
use super::notice::tell;
use super::{Group, MAX_MEMBERS, Rank, Refusal, Settings, State};
use crate::account::Account;
use crate::world::World;

/// Groups of one community. WhatsApp's own limit.
const MAX_GROUPS: usize = 100;
/// What the general chat of a new community is called.
const GENERAL: &str = "General";
/// The code of a group that something worked for.
const DONE: u16 = 200;

/// How a group stands to others.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ties {
    /// It is a community.
    pub(crate) community: Option<Community>,
    /// The community it belongs to.
    pub(crate) parent: Option<u64>,
    pub(crate) role: Role,
}

/// What may be done in a community.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Community {
    /// Joining needs an admin.
    pub(crate) approval: bool,
    /// Members who are no admins make groups in it.
    pub(crate) members_make_groups: bool,
}

/// What a group is to its community.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    #[default]
    Ordinary,
    Announcements,
    General,
}

/// Makes a community with its group for announcements and, if it is to have one, its general chat.
pub(crate) fn found(world: &World, by: &Account, new: New, general: bool) -> Result<(Arc<Group>, Vec<u16>), Refusal> {
    let subject = new.subject.clone();
    let (community, codes) = create(world, by, new)?;
    let announce = Settings { announce: true, admins_add: true, ..Settings::default() };
    found_group(world, by, &community, subject, announce, Role::Announcements)?;
    if general {
        let settings = Settings { admins_add: true, ..Settings::default() };
        found_group(world, by, &community, GENERAL.to_owned(), settings, Role::General)?;
    }
    Ok((community, codes))
}

fn found_group(
    world: &World,
    by: &Account,
    community: &Group,
    subject: String,
    settings: Settings,
    role: Role,
) -> Result<(), Refusal> {
    let everybody = community.members().into_iter().filter(|phone| *phone != by.phone);
    let participants = everybody.filter_map(|phone| world.directory.by_phone(phone)).collect();
    let ties = Ties { parent: Some(community.id), role, ..Ties::default() };
    create(world, by, New { subject, description: None, participants, settings, ties }).map(drop)
}

/// Whether somebody may make a group in a community.
pub(super) fn may_make_group(world: &World, by: &Account, parent: u64) -> Result<(), Refusal> {
    let community = world.groups.get(parent).ok_or(Refusal::NO_GROUP)?;
    let state = community.state();
    let ties = state.ties.community.ok_or(Refusal::NOT_A_COMMUNITY)?;
    let rank = state.rank(by.phone).ok_or(Refusal::NOT_A_MEMBER)?;
    drop(state);
    if world.groups.of_community(parent).len() >= MAX_GROUPS {
        return Err(Refusal::FULL);
    }
    if rank.is_admin() || ties.members_make_groups { Ok(()) } else { Err(Refusal::NOT_AN_ADMIN) }
}

/// Takes people into a community because they are in one of its groups: into itself, and to its announcements.
pub(super) fn gather(world: &World, by: &Account, parent: u64, people: &[u64]) {
    let announcements =
        world.groups.of_community(parent).into_iter().find(|group| group.state().ties.role == Role::Announcements);
    for group in world.groups.get(parent).into_iter().chain(announcements) {
        let mut state = group.state();
        let room = MAX_MEMBERS.saturating_sub(state.members.len());
        let new: Vec<u64> = people.iter().copied().filter(|phone| state.rank(*phone).is_none()).take(room).collect();
        take_in(world, &group, &mut state, by, &new, None);
    }
}

impl Change<'_> {
    /// The settings of the community this group is, if the author is in it.
    fn in_community(&self) -> Result<Rank, Refusal> {
        let state = self.group.state();
        state.ties.community.ok_or(Refusal::NOT_A_COMMUNITY)?;
        state.rank(self.by.phone).ok_or(Refusal::NOT_A_MEMBER)
    }

    fn admin_of_community(&self) -> Result<(), Refusal> {
        if self.in_community()?.is_admin() { Ok(()) } else { Err(Refusal::NOT_AN_ADMIN) }
    }

    /// Ties existing groups to this community; answers the code of each.
    pub(crate) fn link(&self, groups: &[Option<Arc<Group>>]) -> Result<Vec<u16>, Refusal> {
        self.admin_of_community()?;
        let code = |group: &Option<Arc<Group>>| match group {
            None => Refusal::NO_GROUP.code,
            Some(group) => self.link_one(group).map_or_else(|refusal| refusal.code, |()| DONE),
        };
        Ok(groups.iter().map(code).collect())
    }

    fn link_one(&self, group: &Group) -> Result<(), Refusal> {
        if self.world.groups.of_community(self.group.id).len() >= MAX_GROUPS {
            return Err(Refusal::FULL);
        }
        let (members, subject) = {
            let mut state = group.state();
            if !state.rank(self.by.phone).ok_or(Refusal::NOT_A_MEMBER)?.is_admin() {
                return Err(Refusal::NOT_AN_ADMIN);
            }
            if state.ties.parent.is_some() || state.ties.community.is_some() {
                return Err(Refusal::ALREADY_IN);
            }
            state.ties.parent = Some(self.group.id);
            (state.members.keys().copied().collect::<Vec<_>>(), state.subject.text.clone())
        };
        group.touch();
        self.world.groups.tied(group.id, self.group.id);
        let own_subject = self.group.state().subject.text.clone();
        self.tell_of_tie(group, members.clone(), tie("link", "link_type", "parent_group", self.group, &own_subject));
        self.tell_of_tie(self.group, self.group.members(), tie("link", "link_type", "sub_group", group, &subject));
        gather(self.world, self.by, self.group.id, &members);
        Ok(())
    }

    /// Unties groups from this community; answers the code of each. With `orphans`, who is in no other of its groups
    /// leaves the community too.
    pub(crate) fn unlink(&self, groups: &[Option<Arc<Group>>], orphans: bool) -> Result<Vec<u16>, Refusal> {
        self.admin_of_community()?;
        let code = |group: &Option<Arc<Group>>| match group {
            None => Refusal::NO_GROUP.code,
            Some(group) => self.unlink_one(group, "unlink_group").map_or_else(|refusal| refusal.code, |()| DONE),
        };
        let codes = groups.iter().map(code).collect();
        if orphans {
            self.remove_orphans(groups.iter().flatten());
        }
        Ok(codes)
    }

    fn unlink_one(&self, group: &Group, reason: &'static str) -> Result<(), Refusal> {
        let (members, subject) = {
            let mut state = group.state();
            if state.ties.parent != Some(self.group.id) || state.ties.role == Role::Announcements {
                return Err(Refusal::NOT_HERE);
            }
            state.ties = Ties::default();
            (state.members.keys().copied().collect::<Vec<_>>(), state.subject.text.clone())
        };
        group.touch();
        self.world.groups.untied(group.id, self.group.id);
        let own_subject = self.group.state().subject.text.clone();
        let untied = |kind: &'static str, other: &Group, subject: &str| {
            let mut node = tie("unlink", "unlink_type", kind, other, subject);
            node.attrs.insert("unlink_reason", reason);
            node
        };
        self.tell_of_tie(group, members, untied("parent_group", self.group, &own_subject));
        self.tell_of_tie(self.group, self.group.members(), untied("sub_group", group, &subject));
        Ok(())
    }

    fn tell_of_tie(&self, group: &Group, to: Vec<u64>, action: Node) {
        tell(self.world, group, Some(self.by), to, action);
    }

    fn remove_orphans<'g>(&self, left: impl Iterator<Item = &'g Arc<Group>>) {
        let elsewhere: BTreeSet<u64> = self
            .world
            .groups
            .of_community(self.group.id)
            .iter()
            .filter(|group| group.state().ties.role != Role::Announcements)
            .flat_map(|group| group.members())
            .collect();
        let orphans: BTreeSet<u64> = left
            .flat_map(|group| group.members())
            .filter(|phone| !elsewhere.contains(phone) && *phone != self.by.phone)
            .collect();
        let accounts: Vec<_> = orphans.into_iter().filter_map(|phone| self.world.directory.by_phone(phone)).collect();
        let _ = self.remove_everywhere(&accounts, false);
    }

    /// Removes people from this community and its announcements, with `all` from every group of it; answers the code of each.
    pub(crate) fn remove_everywhere(&self, people: &[Arc<Account>], all: bool) -> Result<Vec<u16>, Refusal> {
        let codes = self.remove(people)?;
        for group in self.world.groups.of_community(self.group.id) {
            if all || group.state().ties.role == Role::Announcements {
                let _ = Change { group: &group, ..*self }.remove(people);
            }
        }
        Ok(codes)
    }

    /// Ends this community: its groups go on by themselves, its announcements end with it.
    pub(crate) fn dissolve(&self) -> Result<(), Refusal> {
        self.admin_of_community()?;
        for group in self.world.groups.of_community(self.group.id) {
            if self.unlink_one(&group, "delete_parent").is_err() {
                self.end(&group);
            }
        }
        self.end(self.group);
        Ok(())
    }

    fn end(&self, group: &Group) {
        let mut state = group.state();
        let members: Vec<u64> = state.members.keys().copied().collect();
        tell(
            self.world,
            group,
            Some(self.by),
            members.iter().copied(),
            NodeBuilder::new("delete").attr("reason", "parent").build(),
        );
        for phone in members {
            self.world.groups.left(phone, group.id);
        }
        state.members.clear();
        if let Some(parent) = state.ties.parent {
            self.world.groups.untied(group.id, parent);
        }
        self.world.groups.end(group.id, &state);
    }

    /// A group of this community, for who is in the community.
    pub(crate) fn group_of_community(&self, id: u64) -> Result<Arc<Group>, Refusal> {
        self.in_community()?;
        let group = self.world.groups.get(id).ok_or(Refusal::NO_GROUP)?;
        let here = group.state().ties.parent == Some(self.group.id);
        if here { Ok(group) } else { Err(Refusal::NO_GROUP) }
    }

    /// Joins a group of this community.
    pub(crate) fn join_group(&self, id: u64) -> Result<Arc<Group>, Refusal> {
        let group = self.group_of_community(id)?;
        let mut state = group.state();
        if state.rank(self.by.phone).is_some() {
            return Err(Refusal::ALREADY_IN);
        }
        if state.removed.contains(&self.by.phone) {
            return Err(Refusal::WAS_REMOVED);
        }
        if state.members.len() >= MAX_MEMBERS {
            return Err(Refusal::FULL);
        }
        take_in(self.world, &group, &mut state, self.by, &[self.by.phone], Some("linked_group_join"));
        drop(state);
        Ok(group)
    }

    /// Everybody who is in a group of this community.
    pub(crate) fn people_of_community(&self) -> Result<BTreeSet<u64>, Refusal> {
        self.in_community()?;
        let groups = self.world.groups.of_community(self.group.id);
        Ok(groups.iter().flat_map(|group| group.members()).chain(self.group.members()).collect())
    }
}

/// `<link link_type>` or `<unlink unlink_type>` with the group at the other end.
fn tie(tag: &'static str, key: &'static str, kind: &'static str, other: &Group, subject: &str) -> Node {
    let group =
        NodeBuilder::new("group").attr("jid", other.jid()).attr("subject", subject).attr("creation", other.created).build();
    NodeBuilder::new(tag).attr(key, kind).children([group]).build()
}

/// What the metadata of a group says of its ties.
pub(super) fn nodes(state: &State) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Some(community) = state.ties.community {
        let mut parent = NodeBuilder::new("parent");
        if community.approval {
            parent = parent.attr("default_membership_approval_mode", "request_required");
        }
        nodes.push(parent.build());
        if community.members_make_groups {
            nodes.push(NodeBuilder::new("allow_non_admin_sub_group_creation").build());
        }
    }
    if let Some(parent) = state.ties.parent {
        nodes.push(NodeBuilder::new("linked_parent").attr("jid", super::jid(parent)).build());
    }
    match state.ties.role {
        Role::Ordinary => {}
        Role::Announcements => nodes.push(NodeBuilder::new("default_sub_group").build()),
        Role::General => nodes.push(NodeBuilder::new("general_chat").build()),
    }
    nodes
}
