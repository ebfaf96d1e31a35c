//! What can be asked about groups.

use serde::{Deserialize, Serialize};
use std::fmt;
use warren_domain::group::{Group, MemberOutcome};

/// What can be asked about groups. Groups and people are addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAsk {
    /// The groups that the account is in, by address.
    List {
        /// Only those behind this address.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// A group that the account is in.
    Get {
        /// Which.
        group: String,
    },
    /// Makes a group.
    Create {
        /// Its name.
        subject: String,
        /// Whom to add, at most 1,023.
        participants: Vec<String>,
        /// Its description.
        description: Option<String>,
    },
    /// Changes what a group is called and what its members may do.
    Change {
        /// Which.
        group: String,
        /// To what.
        change: GroupPatch,
    },
    /// Changes who is in a group, or as what.
    Members {
        /// Which group.
        group: String,
        /// What is done.
        action: MemberAction,
        /// With whom: 1 to 1,024.
        people: Vec<String>,
    },
    /// Leaves a group.
    Leave {
        /// Which.
        group: String,
    },
    /// The invite of a group.
    Invite {
        /// Which group.
        group: String,
        /// Whether the one there is becomes void, and a new one is made.
        renew: bool,
    },
    /// Joins by an invite.
    Join {
        /// Its code.
        code: String,
    },
    /// The group that an invite leads to.
    Preview {
        /// Its code.
        code: String,
    },
}

/// A change of a group; what is `None` stays. Carried out in this order; the first refusal ends it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupPatch {
    /// A new name.
    pub subject: Option<String>,
    /// A new description; empty: none any more.
    pub description: Option<String>,
    /// Whether only admins write.
    pub announce: Option<bool>,
    /// Whether only admins change subject and description.
    pub locked: Option<bool>,
}

/// What is done with people of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberAction {
    /// They come in.
    Add,
    /// They go.
    Remove,
    /// They become admins.
    Promote,
    /// They become members.
    Demote,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAnswer {
    /// Groups, by address.
    List {
        /// They.
        groups: Vec<Group>,
    },
    /// A group as it is now.
    Group(Box<Group>),
    /// A new group.
    Created {
        /// As it is now.
        group: Box<Group>,
        /// Those who were asked for and are not in it.
        missing: Vec<MemberOutcome>,
    },
    /// What became of each person.
    Members(Vec<MemberOutcome>),
    /// The code of an invite.
    Invite(String),
    /// What came of joining.
    Joined {
        /// The group's address.
        group: String,
        /// Whether an admin has to approve it first.
        waiting: bool,
    },
}

impl fmt::Debug for GroupAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List { .. } => "List(..)",
            Self::Get { .. } => "Get(..)",
            Self::Create { .. } => "Create(..)",
            Self::Change { .. } => "Change(..)",
            Self::Members { .. } => "Members(..)",
            Self::Leave { .. } => "Leave(..)",
            Self::Invite { .. } => "Invite(..)",
            Self::Join { .. } => "Join(..)",
            Self::Preview { .. } => "Preview(..)",
        })
    }
}

impl fmt::Debug for GroupAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List { .. } => "List(..)",
            Self::Group(_) => "Group(..)",
            Self::Created { .. } => "Created(..)",
            Self::Members(_) => "Members(..)",
            Self::Invite(_) => "Invite(..)",
            Self::Joined { .. } => "Joined(..)",
        })
    }
}

impl fmt::Debug for GroupPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupPatch(..)")
    }
}
