//! What an account shows of itself besides its name, and whom it has talked with.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{Account, Device};
use crate::address::{Addressing, PHONE};
use crate::business::Business;
use crate::media::Error;
use crate::notification::{self, Notification};
use crate::privacy::{self, Matter};
use crate::stanza;
use crate::world::World;

/// The longest text people can say about themselves, in bytes; WhatsApp allows 139 characters.
pub(crate) const ABOUT_LIMIT: usize = 139 * 4;
/// Bytes of a profile picture.
pub(crate) const PICTURE_LIMIT: usize = 1024 * 1024;
/// Accounts that hear of a new text although they never talked with its author.
const ADDRESS_BOOK_LIMIT: usize = 1_000;
/// Accounts one account is remembered to have talked with; later ones stay strangers.
const CHATS_LIMIT: usize = 10_000;

/// The profile of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) about: String,
    /// When the text was set, in Unix seconds; 0 is never.
    pub(crate) about_set: u64,
    pub(crate) picture: Option<Picture>,
    /// Of a business account.
    pub(crate) business: Option<Business>,
}

/// A profile picture. The small one is the same as the large one here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Picture {
    /// Changes with every picture; clients compare it.
    pub(crate) id: String,
    pub(crate) direct_path: String,
}

impl Picture {
    /// Stores an image. Writes a file.
    pub(crate) fn keep(world: &World, bytes: &[u8]) -> Result<Self, Error> {
        let direct_path = world.media.keep_picture(bytes)?.direct_path();
        Ok(Self { id: stanza::unix_millis().to_string(), direct_path })
    }
}

/// Whom an account has exchanged messages with, in either direction.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Chats(HashSet<u64>);

impl Chats {
    /// Whether it was not known before.
    fn note(&mut self, phone: u64) -> bool {
        let is_new = !self.knows(phone);
        if self.0.len() < CHATS_LIMIT {
            self.0.insert(phone);
        }
        is_new
    }

    pub(crate) fn knows(&self, phone: u64) -> bool {
        self.0.contains(&phone)
    }

    fn all(&self) -> Vec<u64> {
        self.0.iter().copied().collect()
    }
}

/// Remembers on both sides that a message went from one to the other; whether that began a chat of the one.
pub(crate) fn acquaint(one: &Account, other: &Account) -> bool {
    if one.phone == other.phone {
        return false;
    }
    let is_new = one.state().chats.note(other.phone);
    other.state().chats.note(one.phone);
    is_new
}

/// Sets or removes an account's picture and tells whoever it has talked with; the new id. Writes a file.
///
/// # Errors
/// When the media store cannot take it.
pub(crate) fn set_picture(world: &World, account: &Arc<Account>, image: Option<&[u8]>) -> Result<Option<String>, Error> {
    let picture = match image {
        None => None,
        Some(bytes) => Some(Picture::keep(world, bytes)?),
    };
    let id = picture.as_ref().map(|picture| picture.id.clone());
    account.state().profile.picture = picture;
    account.touch();
    let told = acquaintances(world, account).into_iter();
    announce(world, account, "picture", told, Matter::Picture, |name| {
        let change = match &id {
            Some(id) => NodeBuilder::new("set").attr("id", id.as_str()),
            None => NodeBuilder::new("delete"),
        };
        change.attr("jid", name).build()
    });
    Ok(id)
}

/// Sets the text and tells whoever the account has talked with, and, as if they had it in their address books, whoever is
/// connected now.
pub(crate) fn set_about(world: &World, account: &Arc<Account>, text: &str) {
    {
        let mut state = account.state();
        text.clone_into(&mut state.profile.about);
        state.profile.about_set = stanza::unix_seconds();
    }
    account.touch();
    let told = connected(world).into_iter().chain(acquaintances(world, account));
    announce(world, account, "status", told, Matter::About, |_| stanza::bytes("set", text.as_bytes()));
}

/// Whom an account has exchanged messages with.
pub(crate) fn acquaintances(world: &World, account: &Account) -> Vec<Arc<Account>> {
    let chats = account.state().chats.all();
    chats.into_iter().filter_map(|phone| world.directory.by_phone(phone)).collect()
}

/// Some of the accounts with a client here.
fn connected(world: &World) -> Vec<Arc<Account>> {
    let connected = |account: &Arc<Account>| account.state().devices.values().any(Device::is_connected);
    world.directory.paired().into_iter().filter(connected).take(ADDRESS_BOOK_LIMIT).collect()
}

/// A notification for the companions of these others who may know, and for the account's own.
fn announce(
    world: &World,
    account: &Arc<Account>,
    kind: &'static str,
    others: impl Iterator<Item = Arc<Account>>,
    matter: Matter,
    change: impl Fn(Jid) -> Node,
) {
    let mut told = HashSet::new();
    for target in others.chain(std::iter::once(Arc::clone(account))) {
        if !told.insert(target.phone) || !privacy::allows(account, &target, matter) {
            continue;
        }
        // By phone number, also where chats are by LID, as the client library's suite has it.
        let from = account.jid(PHONE, Addressing::Pn);
        let id = notification::id(kind);
        let node = notification::begin(from.clone(), kind, &id).children([change(from)]).build();
        if let Some(notification) = Notification::of(id, account.phone, &node) {
            notification.tell(world, &target);
        }
    }
}

/// `<picture>` with the address of the image, for a client that reached us under this name.
pub(crate) fn picture_node(world: &World, picture: &Picture, kind: &str, reached: Option<&str>) -> Node {
    let url = format!("https://{}{}", world.media.host.for_client(reached), picture.direct_path);
    NodeBuilder::new("picture")
        .attr("id", picture.id.as_str())
        .attr("type", kind)
        .attr("url", url)
        .attr("direct_path", picture.direct_path.as_str())
        .build()
}
