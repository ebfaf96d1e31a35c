//! What the library announces of groups (`<notification type="w:gp2">`), as events tell it.

use wacore::stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo};
use wacore::types::events::GroupUpdate as Announced;
use wacore_binary::{Jid, Node, Server};
use warren_domain::{
    Person,
    group::{GroupChange, GroupUpdate, Member, Settings},
};

/// Something that happened to a group, before it is known whether it happened to this account.
#[derive(Debug, Clone)]
pub(crate) struct GroupSignal {
    group: String,
    actor: Option<Person>,
    heard: Heard,
}

#[derive(Debug, Clone)]
enum Heard {
    Added(Vec<Member>),
    Removed(Vec<Member>),
    Changed(GroupChange),
}

impl GroupSignal {
    /// Reads an announcement; `None` for what concerns nobody but the library, and for communities.
    pub(super) fn read(announced: &Announced) -> Option<Self> {
        let heard = heard(&announced.action)?;
        let actor = announced.participant.as_ref().map(|jid| {
            let Member { jid, pn, lid } = member(jid, announced.participant_pn.as_ref(), None);
            Person { jid, pn, lid, push_name: announced.notify.clone().filter(|name| !name.is_empty()) }
        });
        Some(Self { group: announced.group_jid.to_string(), actor, heard })
    }

    /// The events of it, for the account with these addresses: it joined or left, or others did, or both.
    pub(crate) fn updates(self, own: &[String]) -> Vec<GroupUpdate> {
        let Self { group, actor, heard } = self;
        let changes = match heard {
            Heard::Changed(change) => vec![change],
            Heard::Added(participants) => split(participants, own, GroupChange::Joined { subject: None }, |participants| {
                GroupChange::ParticipantsAdded { participants }
            }),
            Heard::Removed(participants) => {
                split(participants, own, GroupChange::Left, |participants| GroupChange::ParticipantsRemoved { participants })
            }
        };
        changes.into_iter().map(|change| GroupUpdate { group: group.clone(), actor: actor.clone(), change }).collect()
    }
}

/// What of a change concerns the account itself, and what others.
fn split(
    members: Vec<Member>,
    own: &[String],
    ours: GroupChange,
    theirs: impl Fn(Vec<Member>) -> GroupChange,
) -> Vec<GroupChange> {
    let is_own = |member: &Member| {
        [Some(&member.jid), member.pn.as_ref(), member.lid.as_ref()].into_iter().flatten().any(|name| own.contains(name))
    };
    let (mine, others): (Vec<_>, Vec<_>) = members.into_iter().partition(is_own);
    let ours = (!mine.is_empty()).then_some(ours);
    ours.into_iter().chain((!others.is_empty()).then(|| theirs(others))).collect()
}

fn heard(action: &Action) -> Option<Heard> {
    Some(Heard::Changed(match action {
        Action::Add { participants, .. } => return Some(Heard::Added(members(participants))),
        Action::Remove { participants, .. } => return Some(Heard::Removed(members(participants))),
        Action::Create { raw } => entered(raw),
        Action::Delete { .. } => GroupChange::Deleted,
        Action::Subject { subject, .. } => GroupChange::Subject { subject: subject.clone() },
        Action::Description { description, .. } => GroupChange::Description { description: description.clone() },
        Action::Promote { participants } => GroupChange::ParticipantsPromoted { participants: members(participants) },
        Action::Demote { participants } => GroupChange::ParticipantsDemoted { participants: members(participants) },
        Action::Modify { participants } => GroupChange::ParticipantsRenumbered { participants: members(participants) },
        Action::CreatedMembershipRequests { requests, .. } => GroupChange::JoinRequested { participants: members(requests) },
        Action::RevokedMembershipRequests { participants } => {
            let participants = participants.iter().map(|jid| member(jid, None, None)).collect();
            GroupChange::JoinRequestsEnded { participants }
        }
        Action::RevokeInvite => GroupChange::InviteRevoked,
        other => GroupChange::Settings(settings(other)?),
    }))
}

fn settings(action: &Action) -> Option<Settings> {
    let none = Settings::default();
    Some(match action {
        Action::Announce => Settings { announce: Some(true), ..none },
        Action::NotAnnounce => Settings { announce: Some(false), ..none },
        Action::Locked { .. } => Settings { locked: Some(true), ..none },
        Action::Unlocked => Settings { locked: Some(false), ..none },
        Action::Ephemeral { expiration, .. } => Settings { ephemeral_seconds: Some(*expiration), ..none },
        Action::MembershipApprovalMode { enabled } => Settings { approval: Some(*enabled), ..none },
        Action::MemberAddMode { mode } => Settings { admins_add: Some(mode == "admin_add"), ..none },
        _ => return None,
    })
}

/// `<create type="new"?><group subject>`: a new group, or one that this account was taken into.
fn entered(create: &Node) -> GroupChange {
    let group = create.get_optional_child("group");
    let subject = group.and_then(|group| group.attrs.get("subject")).map(|subject| subject.as_str().into_owned());
    let is_new = create.attrs.get("type").is_some_and(|kind| kind.as_str() == "new");
    if is_new { GroupChange::Created { subject } } else { GroupChange::Joined { subject } }
}

fn members(participants: &[GroupParticipantInfo]) -> Vec<Member> {
    let read = |info: &GroupParticipantInfo| member(&info.jid, info.phone_number.as_ref(), info.lid.as_ref());
    participants.iter().map(read).collect()
}

/// Somebody by the name in use and, where they are told, the others.
pub(crate) fn member(jid: &Jid, pn: Option<&Jid>, lid: Option<&Jid>) -> Member {
    let on = |server: Server| {
        let named = [Some(jid), pn, lid].into_iter().flatten().find(|jid| jid.server == server);
        named.map(|jid| jid.to_non_ad().to_string())
    };
    Member { jid: jid.to_non_ad().to_string(), pn: on(Server::Pn), lid: on(Server::Lid) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn signal(heard: Heard) -> GroupSignal {
        GroupSignal { group: "7@g.us".into(), actor: None, heard }
    }

    fn named(text: &str) -> Member {
        member(&text.parse().unwrap(), None, None)
    }

    #[test]
    fn what_happens_to_this_account_is_told_apart() {
        let own = ["1@lid".to_owned(), "628@s.whatsapp.net".to_owned()];
        let both = vec![named("1:3@lid"), named("2@lid")];
        let updates = signal(Heard::Removed(both.clone())).updates(&own);
        assert_eq!(updates.len(), 2);
        assert!(updates[0].change == GroupChange::Left);
        assert!(updates[1].change == GroupChange::ParticipantsRemoved { participants: vec![named("2@lid")] });
        let updates = signal(Heard::Added(vec![named("628@s.whatsapp.net")])).updates(&own);
        assert!(updates[0].change == GroupChange::Joined { subject: None } && updates.len() == 1);
    }

    #[test]
    fn only_a_new_group_is_created() {
        let group = || NodeBuilder::new("group").attr("subject", "Trip").build();
        let new = NodeBuilder::new("create").attr("type", "new").children([group()]).build();
        assert!(entered(&new) == GroupChange::Created { subject: Some("Trip".into()) });
        let old = NodeBuilder::new("create").children([group()]).build();
        assert!(entered(&old) == GroupChange::Joined { subject: Some("Trip".into()) });
    }
}
