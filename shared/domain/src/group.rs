//! Groups: who is in them, what they are called, what happens in them, and who of them got a message.

use crate::{Person, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Members of one group: WhatsApp's own limit.
pub const PARTICIPANTS: usize = 1_024;
/// Characters of a subject: WhatsApp's own limit.
pub const SUBJECT_CHARACTERS: usize = 100;
/// Characters of a description: WhatsApp's own limit.
pub const DESCRIPTION_CHARACTERS: usize = 2_048;

/// A group as WhatsApp tells it now. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "id": "120363041234567890@g.us",
    "subject": "Weekend",
    "description": "Where to?",
    "owner": {"jid": "628111111111@s.whatsapp.net", "pn": "628111111111@s.whatsapp.net", "lid": null},
    "created_at": "2026-11-20T08:00:00.000Z",
    "announce": false,
    "locked": false,
    "size": 1,
    "participants": [{
        "jid": "628111111111@s.whatsapp.net", "pn": "628111111111@s.whatsapp.net", "lid": null, "role": "super_admin"
    }]
})))]
pub struct Group {
    /// Its address: `...@g.us`.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// Who made it, if that is known.
    pub owner: Option<Member>,
    /// When it was made, if that is known.
    pub created_at: Option<Timestamp>,
    /// Whether only its admins write.
    pub announce: bool,
    /// Whether only its admins change subject and description.
    pub locked: bool,
    /// How many are in it.
    pub size: u32,
    /// Who is in it; empty where WhatsApp does not tell it, as to somebody who only has an invite.
    pub participants: Vec<Participant>,
}

/// Somebody in, or of, a group: `pn` is the address by phone number, `lid` the address that hides it; `jid` is the one that
/// the group uses.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The address in use, such as `628123@s.whatsapp.net` or `123@lid`.
    pub jid: String,
    /// Address by phone number, if known.
    pub pn: Option<String>,
    /// Hidden address, if known.
    pub lid: Option<String>,
}

/// Somebody in a group, and what that person may do there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// Who.
    #[serde(flatten)]
    pub member: Member,
    /// As what.
    pub role: Role,
}

/// What somebody may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing beyond taking part.
    Member,
    /// Changes the group and who is in it.
    Admin,
    /// An admin whom the others cannot remove: who made the group.
    SuperAdmin,
}

/// What became of one person of a change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"jid": "628123456789@s.whatsapp.net", "pn": "628123456789@s.whatsapp.net", "lid": null, "result": "done"})))]
pub struct MemberOutcome {
    /// Who.
    #[serde(flatten)]
    pub member: Member,
    /// Whether it was done, or why not.
    pub result: MemberResult,
}

/// Whether the change of one person was done, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberResult {
    /// It was done.
    Done,
    /// This person is in the group already.
    AlreadyIn,
    /// This person is not in the group.
    NotInGroup,
    /// This number has no WhatsApp.
    NotOnWhatsapp,
    /// This person wants to be asked: send the group's invite.
    NeedsInvite,
    /// It is not allowed with this person, such as removing who made the group.
    NotAllowed,
    /// This person blocked the account, or is blocked by it.
    Blocked,
    /// This person left the group a short time ago and cannot be brought back yet.
    RecentlyLeft,
    /// The group, or the person's list of groups, is full.
    Full,
    /// WhatsApp refused it for a reason that it did not tell.
    Refused,
}

/// Something that happened to a group, as its event tells it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum GroupChange {
    /// A group with this account in it was made.
    Created {
        /// Its name, if it was told.
        subject: Option<String>,
    },
    /// This account was added, or joined by an invite.
    Joined {
        /// The group's name, if it was told.
        subject: Option<String>,
    },
    /// This account left, or was removed.
    Left,
    /// The group is no more.
    Deleted,
    /// It is called otherwise.
    Subject {
        /// The new name.
        subject: String,
    },
    /// It is described otherwise.
    Description {
        /// The new description; `null` if it has none any more.
        description: Option<String>,
    },
    /// What its members may do has changed.
    Settings(Settings),
    /// Others came in.
    ParticipantsAdded {
        /// Who.
        participants: Vec<Member>,
    },
    /// Others left, or were removed (the actor is not among them).
    ParticipantsRemoved {
        /// Who.
        participants: Vec<Member>,
    },
    /// Members became admins.
    ParticipantsPromoted {
        /// Who.
        participants: Vec<Member>,
    },
    /// Admins became members.
    ParticipantsDemoted {
        /// Who.
        participants: Vec<Member>,
    },
    /// Members have another number.
    ParticipantsRenumbered {
        /// Who, by the new number.
        participants: Vec<Member>,
    },
    /// People ask to join.
    JoinRequested {
        /// Who.
        participants: Vec<Member>,
    },
    /// Requests to join were refused, or taken back.
    JoinRequestsEnded {
        /// Whose.
        participants: Vec<Member>,
    },
    /// The invite is void; there is another one.
    InviteRevoked,
}

/// Those of a group's settings that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Settings {
    /// Whether only admins write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<bool>,
    /// Whether only admins change subject and description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Whether only admins add people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins_add: Option<bool>,
    /// Whether an admin has to approve who joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
    /// For how many seconds messages stay; 0: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_seconds: Option<u32>,
}

/// A group's event before it has its place in the log.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct GroupUpdate {
    /// The group's address.
    pub group: String,
    /// Who did it; `None`: WhatsApp itself, or nobody was named.
    pub actor: Option<Person>,
    /// What happened.
    #[serde(flatten)]
    pub change: GroupChange,
}

/// What one person did with a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "jid": "628123456789@s.whatsapp.net",
    "pn": "628123456789@s.whatsapp.net",
    "lid": null,
    "delivered_at": "2026-11-22T09:30:01.000Z",
    "read_at": null,
    "played_at": null
})))]
pub struct MemberReceipt {
    /// Who.
    #[serde(flatten)]
    pub member: Member,
    /// When it reached this person's phone.
    pub delivered_at: Option<Timestamp>,
    /// When this person read it.
    pub read_at: Option<Timestamp>,
    /// When this person played it (voice notes).
    pub played_at: Option<Timestamp>,
}

/// People, and what they wrote, show in no log.
macro_rules! redacted {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })*
    };
}

redacted!(Group, Member, Participant, MemberOutcome, GroupChange, GroupUpdate, MemberReceipt);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_update_is_one_flat_object() {
        let added = Member { jid: "1@lid".into(), pn: Some("628@s.whatsapp.net".into()), lid: Some("1@lid".into()) };
        let change = GroupChange::ParticipantsAdded { participants: vec![added] };
        let update = GroupUpdate { group: "7@g.us".into(), actor: None, change };
        assert_eq!(
            serde_json::to_value(&update).unwrap(),
            json!({"group": "7@g.us", "actor": null, "change": "participants_added",
                "participants": [{"jid": "1@lid", "pn": "628@s.whatsapp.net", "lid": "1@lid"}]})
        );
        let change = GroupChange::Settings(Settings { locked: Some(true), ..Settings::default() });
        let update = GroupUpdate { change, ..update };
        assert_eq!(
            serde_json::to_value(&update).unwrap(),
            json!({"group": "7@g.us", "actor": null, "change": "settings", "locked": true})
        );
        assert_eq!(format!("{update:?}"), "GroupUpdate(..)");
    }
}
