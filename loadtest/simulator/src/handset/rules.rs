//! What a phone does by itself about a message that it could read.

use std::sync::Arc;
use std::time::Duration;

use waproto::whatsapp::Message;

use super::receive::{Chat, Incoming, confirm};
use super::{Job, Task};
use crate::account::Account;
use crate::bundle;
use crate::habits::Habits;
use crate::presence::{self, Doing};
use crate::world::World;

/// A step of a rule, done now or later.
pub(crate) enum Act {
    /// Confirms delivery.
    Confirm { chat: Chat, id: String },
    /// Says that it was read.
    Read { chat: Chat, id: String },
    /// Begins to type in the chat.
    Type { chat: Chat },
    /// Writes to the chat.
    Answer { chat: Chat, text: String },
}

/// Does what the phone's habits say about a message; `text` is its text, if it has one that is to be answered.
pub(super) fn react(world: &World, account: &Arc<Account>, incoming: &Incoming, habits: Habits, text: Option<String>) {
    let (chat, id) = (Chat::of(incoming), incoming.id.clone());
    if habits.auto_receipt {
        act(world, account, habits.slow(), Act::Confirm { chat, id: id.clone() });
    }
    if habits.auto_read {
        act(world, account, habits.slow(), Act::Read { chat, id });
    }
    let Some(text) = text.filter(|_| is_under_test(world, incoming.from.phone)) else { return };
    if !habits.typing().is_zero() {
        act(world, account, habits.slow(), Act::Type { chat });
    }
    act(world, account, habits.slow() + habits.typing(), Act::Answer { chat, text });
}

/// Sees to it that a phone comes back that is away for a while.
pub(crate) fn resume_absence(world: &World, account: &Arc<Account>) {
    let Some(at) = account.state().habits.back_at_ms else { return };
    let after = Duration::from_millis(at.saturating_sub(crate::stanza::unix_millis()));
    put_off(world, after, Job { account: Arc::clone(account), task: Task::ComeBack });
}

/// Does it at once, or puts it off.
fn act(world: &World, account: &Arc<Account>, after: Duration, act: Act) {
    if after.is_zero() {
        perform(world, account, act);
    } else {
        put_off(world, after, Job { account: Arc::clone(account), task: Task::Act(act) });
    }
}

/// Has a job done after a while; at once when too many wait.
pub(super) fn put_off(world: &World, after: Duration, job: Job) {
    if let Err(job) = world.later.put(after, job) {
        world.handsets.follow_up(job);
    }
}

/// One step; a phone that went offline meanwhile does not take it.
pub(super) fn perform(world: &World, account: &Arc<Account>, act: Act) {
    if !account.state().habits.online {
        return;
    }
    match act {
        Act::Confirm { chat, id } => confirm(world, account, &chat, std::slice::from_ref(&id), None),
        Act::Read { chat, id } => confirm(world, account, &chat, std::slice::from_ref(&id), Some("read")),
        Act::Type { chat } => show(world, account, &chat, Doing::Composing),
        Act::Answer { chat, text } => answer(world, account, &chat, text),
    }
}

fn show(world: &World, account: &Account, chat: &Chat, doing: Doing) {
    match chat.group {
        Some(group) => {
            if let Some(group) = world.groups.get(group) {
                presence::do_in_group(world, account, &group, doing);
            }
        }
        None => {
            if let Some(to) = world.directory.by_phone(chat.with) {
                presence::do_in_chat(world, account, &to, bundle::addressing_of(&to), doing);
            }
        }
    }
}

fn answer(world: &World, account: &Arc<Account>, chat: &Chat, text: String) {
    let (id, message) = (super::message_id(), Box::new(Message { conversation: Some(text), ..Default::default() }));
    let task = match chat.group {
        Some(group) => world.groups.get(group).map(|group| Task::SendToGroup { group, id, message }),
        None => world.directory.by_phone(chat.with).map(|to| Task::Send { to, id, message }),
    };
    if let Some(task) = task {
        world.handsets.follow_up(Job { account: Arc::clone(account), task });
    }
}

/// Whether this is an account with a client of its own, and not one of the people here.
fn is_under_test(world: &World, phone: u64) -> bool {
    world.directory.by_phone(phone).is_some_and(|account| account.state().paired)
}

/// The time of a phone that is away has come.
pub(super) fn back(world: &World, account: &Arc<Account>) {
    let now = crate::stanza::unix_millis();
    let due = presence::change(world, account, |state| {
        // It was told otherwise meanwhile, or is to stay away longer.
        let due = state.habits.back_at_ms.is_some_and(|at| at <= now);
        if due {
            state.habits.online = true;
            state.habits.back_at_ms = None;
        }
        due
    });
    if due {
        super::receive::wake(world, account);
    }
}
