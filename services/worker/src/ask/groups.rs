//! Groups: made, looked at, changed, joined and left.

use super::{Asker, no_address, unanswered};
use crate::client::{
    groups::member,
    literal::{Literal, reads_as_address},
};
use std::str::FromStr;
use wacore::iq::groups::SetGroupDescriptionIq;
use wacore_binary::{Jid, JidExt as _};
use warren_domain::{
    Timestamp,
    group::{Group, Member, MemberOutcome, MemberResult, Participant, Role},
};
use warren_ports::bus::{
    Answer, Refusal, RefusalKind,
    ask::{GroupAnswer, GroupAsk, GroupPatch, MemberAction},
};
use whatsapp_rust::{
    GroupCreateOptions, GroupDescription, GroupError, GroupMetadata, GroupParticipant, GroupParticipantOptions,
    GroupSubject, IqError, JoinGroupResult, ParticipantChangeResponse, ParticipantType,
};

type Done<T> = Result<T, Refusal>;

pub(super) async fn carry_out(asker: &Asker, ask: GroupAsk) -> Done<Answer> {
    let groups = asker.client.groups();
    let answer = match ask {
        GroupAsk::List { after, limit } => list(asker, after.as_deref(), limit).await?,
        GroupAsk::Get { group } => one(asker, &address(&group)?).await?,
        GroupAsk::Create { subject, participants, description } => {
            create(asker, &subject, &participants, description).await?
        }
        GroupAsk::Change { group, change } => change_group(asker, &address(&group)?, change).await?,
        GroupAsk::Members { group, action, people } => members(asker, &address(&group)?, action, &people).await?,
        GroupAsk::Leave { group } => {
            groups.leave(address(&group)?).await.map_err(of_group)?;
            return Ok(Answer::Done);
        }
        GroupAsk::Invite { group, renew } => {
            let link = groups.get_invite_link(address(&group)?, renew).await.map_err(of_group)?;
            let code = link.rsplit('/').next().unwrap_or_default();
            GroupAnswer::Invite(code.to_owned())
        }
        GroupAsk::Join { code } => match groups.join_with_invite_code(&code).await.map_err(of_invite)? {
            JoinGroupResult::Joined(group) => GroupAnswer::Joined { group: group.to_string(), waiting: false },
            JoinGroupResult::PendingApproval(group) => GroupAnswer::Joined { group: group.to_string(), waiting: true },
        },
        GroupAsk::Preview { code } => {
            let told = groups.get_invite_info(&code).await.map_err(of_invite)?;
            GroupAnswer::Group(Box::new(read(told)))
        }
    };
    Ok(Answer::Groups(answer))
}

async fn list(asker: &Asker, after: Option<&str>, limit: u32) -> Done<GroupAnswer> {
    let told = asker.client.groups().get_participating().await.map_err(of_group)?;
    let mut groups: Vec<_> =
        told.into_values().map(read).filter(|group| after.is_none_or(|after| group.id.as_str() > after)).collect();
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    groups.truncate(limit as usize);
    Ok(GroupAnswer::List { groups })
}

async fn one(asker: &Asker, group: &Jid) -> Done<GroupAnswer> {
    let told = asker.client.groups().get_metadata(group).await.map_err(of_group)?;
    Ok(GroupAnswer::Group(Box::new(read(told))))
}

async fn create(asker: &Asker, subject: &str, people: &[String], description: Option<String>) -> Done<GroupAnswer> {
    let people = people.iter().map(|person| address(person)).collect::<Done<Vec<_>>>()?;
    check_subject(subject)?;
    let description = description.map(GroupDescription::new).transpose().map_err(|_| bad_text())?;
    // One that cannot be sent along follows at once.
    let (along, after) = match description {
        Some(text) if reads_as_address(text.as_str()) => (None, Some(text)),
        along => (along, None),
    };
    let options = GroupCreateOptions {
        description: along,
        participants: people.iter().cloned().map(GroupParticipantOptions::new).collect(),
        ..GroupCreateOptions::new(subject)
    };
    let made = asker.client.groups().create_group(options).await.map_err(of_group)?;
    if let Some(text) = after {
        // The group is there in any case; whoever made it sees that it has no description.
        let _ = asker.client.execute(Literal(SetGroupDescriptionIq::new(&made.metadata.id, Some(text), None))).await;
    }
    // The answer lists whom it could not add like the others: only the group itself tells who is in it. It is made in any
    // case, so an answer that does not come is no reason to say that it was not.
    let group = asker.client.groups().get_metadata(&made.metadata.id).await.unwrap_or(made.metadata);
    let is_in = |person: &Jid| {
        group.participants.iter().any(|participant| {
            [Some(&participant.jid), participant.phone_number.as_ref(), participant.lid.as_ref()]
                .into_iter()
                .flatten()
                .any(|name| name.is_same_user_as(person) && name.server == person.server)
        })
    };
    let missing = people
        .iter()
        .filter(|person| !is_in(person))
        .map(|person| MemberOutcome { member: member(person, None, None), result: MemberResult::Refused });
    let missing = missing.collect();
    Ok(GroupAnswer::Created { group: Box::new(read(group)), missing })
}

async fn change_group(asker: &Asker, group: &Jid, change: GroupPatch) -> Done<GroupAnswer> {
    let groups = asker.client.groups();
    if let Some(subject) = change.subject {
        check_subject(&subject)?;
        let subject = GroupSubject::new(subject).map_err(|_| bad_text())?;
        groups.set_subject(group, subject).await.map_err(of_group)?;
    }
    if let Some(text) = change.description {
        let text = if text.is_empty() { None } else { Some(GroupDescription::new(text).map_err(|_| bad_text())?) };
        describe(asker, group, text).await?;
    }
    if let Some(announce) = change.announce {
        groups.set_announce(group, announce).await.map_err(of_group)?;
    }
    if let Some(locked) = change.locked {
        groups.set_locked(group, locked).await.map_err(of_group)?;
    }
    one(asker, group).await
}

/// Sets the description in place of the one that is there now, or removes it.
async fn describe(asker: &Asker, group: &Jid, text: Option<GroupDescription>) -> Done<()> {
    let now = asker.client.groups().get_metadata(group).await.map_err(of_group)?;
    let spec = SetGroupDescriptionIq::new(group, text, now.description_id.as_deref());
    asker.client.execute(Literal(spec)).await.map_err(|error| match error {
        IqError::ServerError { code: 409, .. } => of_group(GroupError::DescriptionConflict),
        error => of_group(GroupError::Iq(error)),
    })
}

/// Members are told of a subject in an attribute.
fn check_subject(subject: &str) -> Done<()> {
    if !reads_as_address(subject) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Invalid,
        "group_text",
        "A subject of up to 48 bytes cannot have an @: clients of WhatsApp Web read it as an address.",
    ))
}

async fn members(asker: &Asker, group: &Jid, action: MemberAction, people: &[String]) -> Done<GroupAnswer> {
    let groups = asker.client.groups();
    let mut people = people.iter().map(|person| address(person)).collect::<Done<Vec<_>>>()?;
    if action != MemberAction::Add {
        // Who is in the group is named as the group names its members.
        let info = groups.query_info(group).await.map_err(of_group)?;
        for person in people.iter_mut().filter(|person| person.is_pn()) {
            if let Some(lid) = info.lid_user_for_phone_user(&person.user) {
                *person = Jid::lid(lid.as_str());
            }
        }
    }
    let told = match action {
        MemberAction::Add => groups.add_participants(group, &people).await,
        MemberAction::Remove => groups.remove_participants(group, &people).await,
        MemberAction::Promote => groups.promote_participants(group, &people).await,
        MemberAction::Demote => groups.demote_participants(group, &people).await,
    };
    let outcomes = told.map_err(of_group)?.into_iter().map(|told| outcome(told, action)).collect();
    Ok(GroupAnswer::Members(outcomes))
}

fn address(text: &str) -> Done<Jid> {
    Jid::from_str(text).map_err(|_| no_address())
}

fn read(told: GroupMetadata) -> Group {
    let created = told.creation_time.and_then(|seconds| i64::try_from(seconds).ok());
    let participants: Vec<_> = told.participants.iter().map(participant).collect();
    let counted = u32::try_from(participants.len()).unwrap_or(u32::MAX);
    Group {
        id: told.id.to_string(),
        subject: told.subject,
        description: told.description.filter(|text| !text.is_empty()),
        owner: told.creator.map(|creator| member(&creator, told.creator_pn.as_ref(), None)),
        created_at: created.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000))),
        announce: told.is_announcement,
        locked: told.is_locked,
        size: told.size.unwrap_or(counted),
        participants,
    }
}

fn participant(told: &GroupParticipant) -> Participant {
    let role = match told.participant_type {
        ParticipantType::Member => Role::Member,
        ParticipantType::Admin => Role::Admin,
        ParticipantType::SuperAdmin => Role::SuperAdmin,
    };
    Participant { member: member(&told.jid, told.phone_number.as_ref(), told.lid.as_ref()), role }
}

/// What WhatsApp says of one person, with its codes as its own clients read them.
fn outcome(told: ParticipantChangeResponse, action: MemberAction) -> MemberOutcome {
    let member: Member = member(&told.jid, told.phone_number.as_ref(), None);
    let result = match (told.error.as_deref(), action) {
        (None, _) => MemberResult::Done,
        (Some("401"), _) => MemberResult::Blocked,
        (Some("403"), MemberAction::Add) => MemberResult::NeedsInvite,
        (Some("403" | "405" | "406"), _) => MemberResult::NotAllowed,
        (Some("404"), MemberAction::Add) => MemberResult::NotOnWhatsapp,
        (Some("404"), _) => MemberResult::NotInGroup,
        (Some("408"), _) => MemberResult::RecentlyLeft,
        (Some("409"), _) => MemberResult::AlreadyIn,
        (Some("419" | "500"), _) => MemberResult::Full,
        (Some(_), _) => MemberResult::Refused,
    };
    MemberOutcome { member, result }
}

fn bad_text() -> Refusal {
    Refusal::new(RefusalKind::Invalid, "group_text", "A subject has 1 to 100 characters, a description at most 2,048.")
}

/// What WhatsApp's refusal of something about a group means.
fn of_group(error: GroupError) -> Refusal {
    match error {
        GroupError::DescriptionConflict => Refusal::conflict(
            "description_changed",
            "Somebody else changed the description at the same moment; look at it and try again.",
        ),
        GroupError::InvalidRequest(_) => Refusal::new(
            RefusalKind::Invalid,
            "group_refused",
            "WhatsApp cannot be asked for this; look at the people named.",
        ),
        GroupError::Iq(IqError::ServerError { code, .. }) => of_code(code),
        _ => unanswered(),
    }
}

/// What WhatsApp's refusal of an invite means.
fn of_invite(error: GroupError) -> Refusal {
    let no_invite = |detail: &str| Refusal::new(RefusalKind::NotFound, "invite_not_found", detail);
    match error {
        GroupError::InvalidRequest(_) | GroupError::Iq(IqError::ServerError { code: 400 | 404 | 406, .. }) => {
            no_invite("There is no such invite.")
        }
        GroupError::Iq(IqError::ServerError { code: 410, .. }) => no_invite("This invite was revoked; ask for a new one."),
        GroupError::Iq(IqError::ServerError { code: 401 | 403 | 405, .. }) => Refusal::new(
            RefusalKind::Forbidden,
            "not_invited",
            "This account was removed from the group, and cannot come back by an invite.",
        ),
        error => of_group(error),
    }
}

fn of_code(code: u16) -> Refusal {
    use RefusalKind::{Exhausted, Forbidden, Invalid, NotFound};
    let (kind, code, detail) = match code {
        401 | 403 => (
            Forbidden,
            "not_allowed_in_group",
            "WhatsApp does not allow this account to do that: it is not an admin of the group, or not in it.",
        ),
        404 => (NotFound, "group_not_found", "There is no such group."),
        405 => (Forbidden, "not_allowed_in_group", "WhatsApp does not allow that in this group."),
        408 => (RefusalKind::Conflict, "recently_left", "This account left the group a short time ago; try again later."),
        409 => (RefusalKind::Conflict, "already_so", "This account is in the group already, or somebody was faster."),
        410 => (NotFound, "group_not_found", "The group is no more."),
        419 => (RefusalKind::Conflict, "group_full", "The group, or this account's list of groups, is full."),
        429 => (Exhausted, "whatsapp_rate_limited", "WhatsApp wants fewer requests from this account; try again later."),
        500.. => (Exhausted, "whatsapp_unavailable", "WhatsApp cannot do this now; try again later."),
        _ => (Invalid, "group_refused", "WhatsApp refused this; look at the group, the texts and the people named."),
    };
    Refusal::new(kind, code, detail)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_codes_of_their_own() {
        let of = |code: u16| {
            let error = |text: &str| {
                GroupError::Iq(IqError::ServerError { code, text: text.into(), error_type: None, backoff: None })
            };
            (of_group(error("secret")), of_invite(error("secret")))
        };
        let expected = [
            (403, "not_allowed_in_group", "not_invited"),
            (404, "group_not_found", "invite_not_found"),
            (406, "group_refused", "invite_not_found"),
            (408, "recently_left", "recently_left"),
            (409, "already_so", "already_so"),
            (410, "group_not_found", "invite_not_found"),
            (419, "group_full", "group_full"),
            (429, "whatsapp_rate_limited", "whatsapp_rate_limited"),
            (503, "whatsapp_unavailable", "whatsapp_unavailable"),
        ];
        for (code, group, invite) in expected {
            let (by_group, by_invite) = of(code);
            assert_eq!((by_group.code.as_str(), by_invite.code.as_str()), (group, invite), "{code}");
            assert!(!by_group.detail.contains("secret"));
        }
        assert_eq!(of_group(GroupError::Iq(IqError::Timeout)).code, "no_answer");
    }

    #[test]
    fn people_are_named_by_every_name_that_was_told() {
        let lid: Jid = "1@lid".parse().unwrap();
        let told = member(&lid, Some(&"628:4@s.whatsapp.net".parse().unwrap()), None);
        assert_eq!((told.jid.as_str(), told.pn.as_deref()), ("1@lid", Some("628@s.whatsapp.net")));
        assert_eq!(told.lid.as_deref(), Some("1@lid"));
    }
}
