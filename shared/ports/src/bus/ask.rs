//! What the owner asks of WhatsApp in the caller's name while it waits: everything that is no message and no change of the
//! instance itself. Needs a connection. Not repeated by itself: an ask whose connection ended has an unknown outcome.

mod groups;

pub use groups::{GroupAnswer, GroupAsk, GroupPatch, MemberAction};

use serde::{Deserialize, Serialize};
use std::fmt;
use warren_domain::MediaId;

mod contacts;

pub use contacts::{Card, ContactAsk, Names, Picture};
use warren_domain::NumberCheck;

/// What is asked, by subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Of a chat.
    Chat(ChatAsk),
    /// Of people, and of the account itself.
    Contacts(ContactAsk),
    /// About groups.
    Groups(GroupAsk),
    /// Of a file.
    Media(MediaAsk),
}

/// What came of an ask that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done; there is nothing to tell.
    Done,
    /// What WhatsApp said of numbers, those it said nothing of left out.
    Numbers(Vec<NumberCheck>),
    /// What a contact shows of itself.
    Card(Card),
    /// Both addresses of a contact.
    Names(Names),
    /// A contact's picture; `None`: it has none, or does not show it to this account.
    Picture(Option<Picture>),
    /// About groups.
    Groups(GroupAnswer),
}

/// What can be asked of a file of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaAsk {
    /// Fetches the bytes of a pending file that came from WhatsApp. `Done` once it is not pending any more: whoever asked
    /// looks at the file. May take longer than other asks, and goes on after the asker's deadline; asking again joins it.
    Fetch {
        /// Which file.
        media: MediaId,
    },
}

/// What can be asked of a chat.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatAsk {
    /// Shows the others what this account is doing.
    Show {
        /// Address of the chat.
        chat: String,
        /// What is shown; WhatsApp's clients let it fade after some seconds.
        activity: Activity,
    },
    /// Marks received messages as read, so that their authors see it.
    Read {
        /// Address of the chat.
        chat: String,
        /// Address of their author, in a group.
        author: Option<String>,
        /// Their ids at WhatsApp: 1 to 100.
        whatsapp_ids: Vec<String>,
    },
}

impl fmt::Debug for ChatAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Show { .. } => "Show(..)",
            Self::Read { .. } => "Read(..)",
        })
    }
}

/// What an account is doing in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Typing a text.
    Typing,
    /// Recording a voice note.
    Recording,
    /// Neither any more.
    Paused,
}

/// Why the owner, or WhatsApp, did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// Stable and lower-case, such as `already_paired`.
    pub code: String,
    /// What to do: a sentence that is safe to show.
    pub detail: String,
}

/// What kind of refusal it is, as callers need to tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The request itself is wrong.
    Invalid,
    /// The account may not do that.
    Forbidden,
    /// There is no such thing at WhatsApp, or not for this account.
    NotFound,
    /// The state of the instance, or of the thing, does not allow it now.
    Conflict,
    /// A limit is reached; later is fine.
    Exhausted,
    /// It was begun, and its outcome is not known.
    Unknown,
}

impl Refusal {
    /// A refusal of a kind.
    pub fn new(kind: RefusalKind, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, code: code.into(), detail: detail.into() }
    }

    /// The state does not allow it now.
    pub fn conflict(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RefusalKind::Conflict, code, detail)
    }
}
