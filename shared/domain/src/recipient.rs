//! Who a message goes to.

use crate::{Error, Result};
use std::fmt;

/// An address that may be sent to: a person by phone number or LID, or a group.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// E.164 digits without `+`.
    Phone(String),
    /// The digits of a hidden address.
    Lid(String),
    /// What stands before the `@g.us` of a group: digits, or of an old group its maker's number, `-`, and digits.
    Group(String),
}

/// Longer than any group's digits; the old form has two such parts.
const GROUP_DIGITS: std::ops::RangeInclusive<usize> = 1..=25;

/// E.164 allows 15 digits; nothing shorter than 5 is a subscriber number anywhere.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

impl Recipient {
    /// Reads what a caller writes of a chat: a person as [`Self::person`] does, or a group, `...@g.us`.
    ///
    /// # Errors
    /// `invalid_recipient` for everything else; the input is never repeated in the error.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('@') {
            Some((user, "g.us")) => Self::group(user),
            _ => Self::person(text),
        }
    }

    /// Reads what a caller writes of a person: a phone number with or without `+` (or as `...@s.whatsapp.net`), or
    /// `...@lid`.
    ///
    /// # Errors
    /// `invalid_recipient` for everything else, groups included; the input is never repeated in the error.
    pub fn person(text: &str) -> Result<Self> {
        let refused = |detail: &str| Err(Error::invalid("invalid_recipient", detail));
        match text.split_once('@') {
            None => Self::phone(text),
            Some((user, "s.whatsapp.net")) => Self::phone(user),
            Some((user, "lid")) if !user.is_empty() && user.len() <= 20 && user.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self::Lid(user.to_owned()))
            }
            Some((_, "lid")) => refused("A LID is digits followed by @lid."),
            Some((_, "g.us")) => refused("This is a group; a person is wanted here."),
            Some(_) => refused("An address is a phone number, or ends in @lid, or in @g.us for a group."),
        }
    }

    fn group(user: &str) -> Result<Self> {
        let is_number = |part: &str| GROUP_DIGITS.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_group = match user.split_once('-') {
            Some((maker, made)) => is_number(maker) && is_number(made),
            None => is_number(user),
        };
        if !is_group {
            return Err(Error::invalid("invalid_recipient", "A group is digits, or digits-digits, followed by @g.us."));
        }
        Ok(Self::Group(user.to_owned()))
    }

    fn phone(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_empty() {
            return Err(Error::invalid("invalid_recipient", "A phone number has digits only, with or without a leading +."));
        }
        if !PHONE_DIGITS.contains(&digits.len()) || digits.starts_with('0') {
            return Err(Error::invalid(
                "invalid_recipient",
                "A phone number is written in full, with its country code: 5 to 15 digits, not starting with 0.",
            ));
        }
        Ok(Self::Phone(digits.to_owned()))
    }

    /// The address as WhatsApp writes it; also the key of the chat.
    #[must_use]
    pub fn jid(&self) -> String {
        match self {
            Self::Phone(digits) => format!("{digits}@s.whatsapp.net"),
            Self::Lid(digits) => format!("{digits}@lid"),
            Self::Group(id) => format!("{id}@g.us"),
        }
    }

    /// Whether an address is one person's, by number or hidden. Only these can be strangers.
    #[must_use]
    pub fn is_person(address: &str) -> bool {
        address.ends_with("@s.whatsapp.net") || address.ends_with("@lid")
    }

    /// Whether an address is a group's.
    #[must_use]
    pub fn is_group(address: &str) -> bool {
        address.ends_with("@g.us")
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient(..)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_lids() {
        for text in ["628123456789", "+628123456789", "628123456789@s.whatsapp.net"] {
            assert_eq!(Recipient::parse(text).unwrap().jid(), "628123456789@s.whatsapp.net");
        }
        assert_eq!(Recipient::parse("123@lid").unwrap().jid(), "123@lid");
    }

    #[test]
    fn reads_groups_where_a_person_is_not_wanted() {
        for text in ["120363000000000001@g.us", "6281100000001-1400000000@g.us"] {
            assert_eq!(Recipient::parse(text).unwrap().jid(), text);
            assert_eq!(Recipient::person(text).unwrap_err().code, "invalid_recipient");
        }
        let long = format!("{}@g.us", "1".repeat(26));
        for text in ["@g.us", "-1@g.us", "1-@g.us", "1-2-3@g.us", "1.0@g.us", " 1@g.us", "1@g.us ", "1@g.us@lid", &long] {
            assert_eq!(Recipient::parse(text).unwrap_err().code, "invalid_recipient", "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_without_repeating_it() {
        let forty_digits = "1".repeat(40);
        for text in
            ["", "+", "+1 (555) abc", &forty_digits, "x@g.us", "status@broadcast", "@lid", "0812345678", "１２３４５６"]
        {
            let error = Recipient::parse(text).unwrap_err();
            assert_eq!(error.code, "invalid_recipient");
            assert!(text.len() < 5 || !error.detail.contains(text));
        }
    }
}
