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

/// The other way the same number is written, in the countries that have two: Brazil's mobile numbers with or without the
/// ninth digit, Mexico's with or without the 1, Argentina's with or without the 9. The server knows the number under the
/// form it was registered in, and answers with that.
pub(crate) fn other_form(phone: u64) -> Option<u64> {
    let digits = phone.to_string();
    let other = match (digits.get(..2)?, digits.len()) {
        ("55", 12) => format!("{}9{}", digits.get(..4)?, digits.get(4..)?),
        ("55", 13) if digits.get(4..5)? == "9" => format!("{}{}", digits.get(..4)?, digits.get(5..)?),
        ("52", 12) => format!("521{}", digits.get(2..)?),
        ("52", 13) if digits.get(2..3)? == "1" => format!("52{}", digits.get(3..)?),
        ("54", 12) => format!("549{}", digits.get(2..)?),
        ("54", 13) if digits.get(2..3)? == "9" => format!("54{}", digits.get(3..)?),
        _ => return None,
    };
    other.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_two_forms_lead_to_each_other() {
        for (one, other) in [
            (551_187_654_321, 5_511_987_654_321),
            (525_512_345_678, 5_215_512_345_678),
            (541_112_345_678, 5_491_112_345_678),
        ] {
            assert_eq!(other_form(one), Some(other));
            assert_eq!(other_form(other), Some(one));
        }
        for single in [6_281_100_000_001, 5_511_887_654_321, 12_125_550_100, 4_917_012_345_678] {
            assert_eq!(other_form(single), None, "{single}");
        }
    }

    #[test]
    fn phones_are_digits_only() {
        assert_eq!(parse_phone("+62 811-1234"), Some(628_111_234));
        assert_eq!(parse_phone("6281112345@s.whatsapp.net"), Some(6_281_112_345));
        for bad in ["", "1", "0811123456", "62811x123", "1234567890123456"] {
            assert_eq!(parse_phone(bad), None, "{bad}");
        }
    }
}
