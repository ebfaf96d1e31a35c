//! Whom an account has blocked. What those send to it is acknowledged and goes nowhere; they see nothing of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

use crate::account::Account;
use crate::address::{Addressing, PHONE};
use crate::notification::{self, Notification};
use crate::world::World;

/// Accounts one account can block.
const LIMIT: usize = 10_000;

/// Phone numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blocked(BTreeSet<u64>);

impl Blocked {
    pub(crate) fn contains(&self, phone: u64) -> bool {
        self.0.contains(&phone)
    }

    fn all(&self) -> Vec<u64> {
        self.0.iter().copied().collect()
    }
}

/// Whether one of them has blocked the other.
pub(crate) fn between(one: &Account, other: &Account) -> bool {
    one.phone != other.phone && (one.state().blocked.contains(other.phone) || other.state().blocked.contains(one.phone))
}

/// Blocks or unblocks; `false` when there is no room. The account's other companions are told.
pub(crate) fn set(world: &World, account: &Account, other: &Account, block: bool, author: Option<u16>) -> bool {
    {
        let mut state = account.state();
        let blocked = &mut state.blocked.0;
        if block && !blocked.contains(&other.phone) && blocked.len() >= LIMIT {
            return false;
        }
        let _ = if block { blocked.insert(other.phone) } else { blocked.remove(&other.phone) };
    }
    account.touch();
    tell(world, account, other, block, author);
    true
}

fn tell(world: &World, account: &Account, other: &Account, block: bool, author: Option<u16>) {
    let id = notification::id("blocklist");
    let changed = item(other).attr("action", if block { "block" } else { "unblock" }).build();
    let list = NodeBuilder::new("blocklist").attr("action", "modify").children([changed]).build();
    let node = notification::begin(SERVER_JID, "account_sync", &id).children([list]).build();
    if let Some(notification) = Notification::of(id, 0, &node) {
        notification.tell_others(world, account, author);
    }
}

/// The whole list as clients ask for it: by LID, with the phone number beside it.
pub(crate) fn list(world: &World, account: &Account) -> Node {
    let blocked = account.state().blocked.all();
    let items = blocked.into_iter().filter_map(|phone| world.directory.by_phone(phone)).map(|other| item(&other).build());
    NodeBuilder::new("list").attr("addressing_mode", "lid").children(items).build()
}

fn item(other: &Account) -> NodeBuilder {
    NodeBuilder::new("item").attr("jid", other.jid(PHONE, Addressing::Lid)).attr("pn_jid", other.jid(PHONE, Addressing::Pn))
}
