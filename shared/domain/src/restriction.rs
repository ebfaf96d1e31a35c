//! What an account may not send for a time: WhatsApp says so, or the caution of this deployment.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an account may not send everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestrictionReason {
    /// WhatsApp refused a message with 463 or 475: the account wrote to too many people who do not know it.
    ReachoutLimit,
    /// It began as many new chats within 24 hours as this deployment lets it.
    NewChatBudget,
    /// WhatsApp banned the account for a time; it is not connected meanwhile.
    TemporaryBan,
}

impl RestrictionReason {
    /// The name as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReachoutLimit => "reachout_limit",
            Self::NewChatBudget => "new_chat_budget",
            Self::TemporaryBan => "temporary_ban",
        }
    }
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestrictionScope {
    /// Messages to people with whom the account never exchanged one.
    NewChats,
    /// Every message that was not handed to the wire yet.
    All,
}

/// A restriction: what it names waits in the queue and goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Restriction {
    /// Why.
    pub reason: RestrictionReason,
    /// What waits.
    pub scope: RestrictionScope,
    /// Until when, as WhatsApp says; `null` where it does not say.
    pub until: Option<Timestamp>,
    /// When the queue goes on by itself.
    pub restarts_at: Timestamp,
}
