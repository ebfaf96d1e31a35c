//! Who a JID means. A person has two names, the phone number and the LID; both lead to the same account.

use std::fmt;

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

/// The device number of a phone itself; companions count from 1.
pub(crate) const PHONE: u16 = 0;

/// One device of one account, independent of how it was addressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) phone: u64,
    pub(crate) device: u16,
}

impl fmt::Debug for Address {
    /// Phone numbers do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address(..:{})", self.device)
    }
}

/// By which of its two names a chat is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Addressing {
    /// Phone number: `628..@s.whatsapp.net`.
    Pn,
    /// Linked id: `..@lid`.
    Lid,
}

impl Addressing {
    /// The addressing of a user's JID; `None` for groups, broadcasts and the like.
    pub(crate) fn of(jid: &Jid) -> Option<Self> {
        match jid.server {
            Server::Pn | Server::Legacy | Server::Hosted => Some(Self::Pn),
            Server::Lid | Server::HostedLid => Some(Self::Lid),
            _ => None,
        }
    }
}

/// Reads a phone number as people write it: digits, with `+`, spaces or dashes ignored; 5 to 15 digits.
pub(crate) fn parse_phone(text: &str) -> Option<u64> {
    let digits: String = text.trim().chars().filter(|c| !matches!(c, '+' | ' ' | '-' | '(' | ')')).collect();
    let user = digits.split_once('@').map_or(digits.as_str(), |(user, _)| user);
    let well_formed = (5..=15).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
    if !well_formed || user.starts_with('0') {
        return None;
    }
    user.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_digits_only() {
        assert_eq!(parse_phone("+62 811-1234"), Some(628_111_234));
        assert_eq!(parse_phone("6281112345@s.whatsapp.net"), Some(6_281_112_345));
        for bad in ["", "1", "0811123456", "62811x123", "1234567890123456"] {
            assert_eq!(parse_phone(bad), None, "{bad}");
        }
    }
}
