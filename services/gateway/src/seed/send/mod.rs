//! Sending: a text, a file, or the file behind a link; to a person or to a group; by an instance's id or by its number.
//!
//! The checks run in the contract's order: the body, the sender, the recipient, the file, and the sending itself. Answered
//! once WhatsApp's server has the message. One that it does not have when the time is up is answered as sent, too: it is
//! committed, and goes out.

mod files;
pub(super) mod link;
pub(super) mod text;
pub(super) mod upload;

use super::{
    Seed,
    body::given,
    codes::Code,
    envelope::{Answer, Failure, success},
    numbers::verified,
};
use crate::{
    problem::Problem,
    v1::messages::{
        attachment::is_caption,
        draft::{Draft, unkeyed},
        send::commit,
    },
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use warren_domain::{FailureReason, Instance, Message, MessageStatus, Recipient};

/// To whom a route sends: what its field is called, and what is checked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Person,
    Group,
}

impl Audience {
    /// The field that names the recipient.
    const fn field(self) -> &'static str {
        match self {
            Self::Person => "to",
            Self::Group => "groupJid",
        }
    }

    /// The recipient, of what a body names as the two.
    fn named(self, to: Option<String>, group: Option<String>) -> Option<String> {
        given(match self {
            Self::Person => to,
            Self::Group => group,
        })
    }

    /// The address that may be sent to.
    async fn address(self, seed: &Seed, instance: &Instance, written: &str) -> Result<String, Failure> {
        match self {
            Self::Person => verified(seed, instance, written).await,
            Self::Group => group(written).map_err(Failure::from),
        }
    }
}

/// Refuses what cannot be written under a file.
fn check_caption(caption: Option<&str>) -> Result<(), Failure> {
    if caption.is_none_or(is_caption) {
        return Ok(());
    }
    Err(Failure::from(Code::ValidationError).details("A caption has at most 4,096 characters."))
}

/// The address of a group.
fn group(written: &str) -> Result<String, Code> {
    match written.trim().split_once('@') {
        None | Some(("", _)) => Err(Code::InvalidGroupJid),
        Some((_, server)) if server.contains('@') => Err(Code::InvalidGroupJid),
        Some((_, "g.us")) => Recipient::parse(written.trim()).map(|group| group.jid()).map_err(|_| Code::InvalidGroupJid),
        Some(_) => Err(Code::NotGroupJid),
    }
}

/// Commits a message and waits for WhatsApp's server, at most so long.
async fn deliver(seed: &Seed, instance: &Instance, draft: Draft, wait: Duration) -> Result<Message, Problem> {
    let new = unkeyed(&seed.app, seed.tenant, instance.id, draft).await?;
    Ok(commit(&seed.app, new, Some(wait)).await?.0)
}

/// A message that was refused is none that was sent.
fn sent(message: Message) -> Result<Message, Failure> {
    if message.status != MessageStatus::Failed {
        return Ok(message);
    }
    let code = match message.reason {
        Some(FailureReason::TooLarge) => Code::FileTooLarge,
        Some(FailureReason::Media) => Code::UploadFailed,
        _ => Code::SendFailed,
    };
    Err(Failure::from(code).details(message.reason.map_or("failed", FailureReason::as_str)))
}

/// What is answered of a message that was sent, `more` besides.
fn answer(audience: Audience, written: &str, from: Option<String>, message: &Message, more: Map<String, Value>) -> Answer {
    let at = message.times.sent.unwrap_or(message.times.created);
    let mut data = Map::new();
    data.insert("messageId".into(), message.whatsapp_id.clone().into());
    data.insert("timestamp".into(), at.as_seconds().into());
    data.insert(audience.field().into(), written.into());
    if audience == Audience::Person {
        data.insert("verified".into(), true.into());
    }
    if let Some(from) = from {
        data.insert("from".into(), from.into());
    }
    let is_file = !more.is_empty();
    data.extend(more);
    let words = match (audience, is_file) {
        (Audience::Person, false) => "Message sent successfully",
        (Audience::Person, true) => "Media sent successfully",
        (Audience::Group, false) => "Message sent to group",
        (Audience::Group, true) => "Media sent to group",
    };
    success(words, json!(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_an_address_of_a_group() {
        assert_eq!(group("120363000000000001@g.us"), Ok("120363000000000001@g.us".to_owned()));
        assert_eq!(group(" 6281100000001-1400000000@g.us ").as_deref(), Ok("6281100000001-1400000000@g.us"));
        for text in ["120363000000000001", "@g.us", "x@g.us", "1@g.us@g.us", "x@y@z"] {
            assert_eq!(group(text), Err(Code::InvalidGroupJid), "{text}");
        }
        for text in ["6281100000001@s.whatsapp.net", "1@lid", "1@", "status@broadcast"] {
            assert_eq!(group(text), Err(Code::NotGroupJid), "{text}");
        }
    }
}
