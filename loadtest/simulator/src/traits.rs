//! What sets an account apart: whether it demands tokens of those who write to it, and what it has to make such tokens.
//!
//! Said by its name, so that a client that can only choose its own name can ask for it: `restricted:<name>`, or
//! `scenario:<flag,flag>:<name>`. The flags are those that the client library's own end-to-end suite uses.

use serde::{Deserialize, Serialize};

const RESTRICTED: &str = "restricted:";
const SCENARIO: &str = "scenario:";

/// The traits of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Traits {
    /// Who writes to it, looks at its picture or asks for its presence has to show a token.
    pub(crate) restricted: bool,
    /// It takes trusted-contact tokens, which it issued itself.
    pub(crate) takes_trusted: bool,
    /// It takes tokens that a stranger makes of a salt of his own.
    pub(crate) takes_salted: bool,
    /// Its clients are told to send salted tokens.
    pub(crate) sends_salted: bool,
    /// Its clients are told that the salt comes with the history, and its phone puts it there.
    pub(crate) salt_in_history: Delivery,
    /// The same by app state.
    pub(crate) salt_in_app_state: Delivery,
}

/// A way for the salt to reach a companion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Clients are told of it.
    pub(crate) announced: bool,
    /// The phone does it.
    pub(crate) done: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            restricted: false,
            takes_trusted: true,
            takes_salted: true,
            sends_salted: false,
            salt_in_history: Delivery::default(),
            salt_in_app_state: Delivery::default(),
        }
    }
}

impl Traits {
    /// What a name says; unknown flags say nothing.
    pub(crate) fn of_name(name: &str) -> Self {
        if name.starts_with(RESTRICTED) {
            return Self { restricted: true, ..Self::default() };
        }
        let mut traits = Self::default();
        let flags = name.strip_prefix(SCENARIO).and_then(|rest| rest.split_once(':'));
        for flag in flags.iter().flat_map(|(flags, _)| flags.split(',')) {
            traits.apply(flag);
        }
        traits
    }

    fn apply(&mut self, flag: &str) {
        let (name, on) = match flag.split_once('=') {
            Some((name, value)) => (name, value == "1"),
            None => (flag, true),
        };
        match name {
            "restricted" => self.restricted = on,
            "tc_enabled" => self.takes_trusted = on,
            "cs_enabled" => self.takes_salted = on,
            "nct_send_ab" => self.sends_salted = on,
            // What is announced is also done, unless a later flag says otherwise.
            "nct_history_ab" => self.salt_in_history = Delivery { announced: on, done: on },
            "nct_syncd_ab" => self.salt_in_app_state = Delivery { announced: on, done: on },
            "nct_history_delivery" => self.salt_in_history.done = on,
            "nct_syncd_delivery" => self.salt_in_app_state.done = on,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_demanded() {
        assert_eq!(Traits::of_name("Budi"), Traits::default());
        assert_eq!(Traits::of_name("restricted:Budi"), Traits { restricted: true, ..Traits::default() });
        let scenario = Traits::of_name("scenario:restricted,tc_enabled=0,cs_enabled=1:Budi");
        assert_eq!(scenario, Traits { restricted: true, takes_trusted: false, ..Traits::default() });
        assert_eq!(Traits::of_name("scenario:without the second colon"), Traits::default());
    }

    #[test]
    fn an_announced_salt_comes_unless_said_otherwise() {
        let history = Traits::of_name("scenario:nct_send_ab=1,nct_history_ab=1:x");
        assert!(history.sends_salted && history.salt_in_history.done && !history.salt_in_app_state.announced);
        let empty = Traits::of_name("scenario:nct_syncd_ab=1,nct_syncd_delivery=0:x").salt_in_app_state;
        assert_eq!(empty, Delivery { announced: true, done: false });
    }
}
