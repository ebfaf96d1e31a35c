//! Addresses in paths.

use std::str::FromStr;
use warren_domain::{Error, Recipient};

/// The address of a chat or a person, as callers write it: a phone number, or an address. What is none is not found, like
/// an id that does not exist.
pub(crate) struct Address(pub(crate) String);

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Recipient::parse(text).map(|recipient| Self(recipient.jid()))
    }
}

/// The address of a group. What is none is not found, like a group that does not exist.
pub(crate) struct GroupAddress(pub(crate) String);

impl FromStr for GroupAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match Recipient::parse(text)? {
            group @ Recipient::Group(_) => Ok(Self(group.jid())),
            Recipient::Phone(_) | Recipient::Lid(_) => Err(Error::not_found()),
        }
    }
}
