//! Limits on writing to people the account has not talked with.

use serde::{Deserialize, Serialize};

use super::{Change, Trouble};
use crate::account::Account;
use crate::world::World;

/// The error of a message that the account may not send to a stranger for a time.
const REACHOUT_LIMIT: u16 = 463;
/// The error of a message that would begin one chat too many (whatsapp-rust 0.7.0, `NackReason::NewChatMessagesCapped`).
const NEW_CHATS_CAPPED: u16 = 475;

/// Nobody new until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reachout {
    /// In Unix milliseconds.
    pub(crate) until_ms: u64,
    /// Chats in which either side has written before are not affected.
    pub(crate) known_chats_pass: bool,
}

/// A [`Reachout`] from now on; `for_s: 0` lifts it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReachoutChange {
    for_s: u64,
    known_chats_pass: Option<bool>,
}

/// How many more chats may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NewChats {
    Left(u64),
    /// `true` any number, `false` none.
    Any(bool),
}

impl Default for NewChats {
    fn default() -> Self {
        Self::Any(true)
    }
}

impl NewChats {
    fn is_used_up(self) -> bool {
        matches!(self, Self::Left(0) | Self::Any(false))
    }

    fn use_one(&mut self) {
        if let Self::Left(left) = self {
            *left = left.saturating_sub(1);
        }
    }
}

impl Trouble {
    pub(super) fn apply_to_strangers(&mut self, change: &Change) {
        if let Some(limit) = change.reachout_limit {
            let until_ms = crate::stanza::unix_millis().saturating_add(limit.for_s.saturating_mul(1_000));
            let known_chats_pass = limit.known_chats_pass.unwrap_or(true);
            self.reachout_limit = (limit.for_s > 0).then_some(Reachout { until_ms, known_chats_pass });
        }
        self.new_chats_left = change.new_chats_left.unwrap_or(self.new_chats_left);
    }

    /// The limit on writing to strangers, while it holds.
    pub(crate) fn reachout(&self) -> Option<Reachout> {
        self.reachout_limit.filter(|limit| limit.until_ms > crate::stanza::unix_millis())
    }

    /// Why a message to somebody is refused.
    fn refuses(&self, known: bool) -> Option<u16> {
        if self.reachout().is_some_and(|limit| !(known && limit.known_chats_pass)) {
            return Some(REACHOUT_LIMIT);
        }
        (!known && self.new_chats_left.is_used_up()).then_some(NEW_CHATS_CAPPED)
    }
}

/// Why a message of one account to another is refused: its own limits go before everybody's.
pub(crate) fn refuses(world: &World, sender: &Account, recipient: &Account) -> Option<u16> {
    let (known, own) = {
        let state = sender.state();
        let known = sender.phone == recipient.phone || state.chats.knows(recipient.phone);
        (known, state.trouble.refuses(known))
    };
    own.or_else(|| world.trouble().refuses(known))
}

/// A message to a stranger was accepted: a chat that counts.
pub(crate) fn begin_chat(world: &World, sender: &Account) {
    sender.state().trouble.new_chats_left.use_one();
    world.trouble().new_chats_left.use_one();
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_reach_out_limit_ends_by_itself_and_can_be_lifted() {
        let mut trouble = Trouble::default();
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":60}}"#).unwrap());
        assert!(trouble.reachout().is_some_and(|limit| limit.known_chats_pass));
        if let Some(limit) = &mut trouble.reachout_limit {
            limit.until_ms = 1;
        }
        assert_eq!(trouble.reachout(), None);
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":60,"known_chats_pass":false}}"#).unwrap());
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":0}}"#).unwrap());
        assert_eq!(trouble.reachout_limit, None);
    }

    #[test]
    fn new_chats_are_used_up_and_given_anew() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.refuses(false), None);
        trouble.apply(&serde_json::from_str(r#"{"new_chats_left":1}"#).unwrap());
        assert_eq!(trouble.refuses(false), None);
        trouble.new_chats_left.use_one();
        assert_eq!((trouble.refuses(false), trouble.refuses(true)), (Some(475), None));
        assert_eq!(serde_json::to_value(trouble.new_chats_left).unwrap(), 0);
        trouble.apply(&serde_json::from_str(r#"{"new_chats_left":true}"#).unwrap());
        assert_eq!(trouble.refuses(false), None);
    }
}
