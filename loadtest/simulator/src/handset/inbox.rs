//! What a phone has received, as a test wants to see it: each message once, with how often it came.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use waproto::buffa::Message as _;
use waproto::whatsapp::Message;

use super::content::Content;
use crate::address::{Address, Addressing};

/// One message of an inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Grows by one with each new message; never reused.
    pub(crate) order: u64,
    pub(crate) id: String,
    /// The sender's phone number.
    pub(crate) from: String,
    /// The group's address; absent in a direct chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    #[serde(flatten)]
    pub(crate) content: Content,
    pub(crate) first_seen_ms: u64,
    /// How often the plaintext surfaced: 1 is right, more is a duplicate the recipient sees.
    pub(crate) surfaced: u32,
    /// How many copies came over the wire.
    pub(crate) copies: u32,
    /// Where receipts go.
    #[serde(rename = "sender_device")]
    pub(crate) device: u16,
    pub(crate) lid_addressed: bool,
}

impl Item {
    /// The message itself, as long as this process remembers it; a text always.
    pub(crate) fn message(&self) -> Option<Message> {
        match &self.content.encoded {
            Some(encoded) => Message::decode_from_slice(encoded).ok(),
            None => Some(Message { conversation: Some(self.content.text.clone()?), ..Default::default() }),
        }
    }
}

/// A bounded list of messages, in the order of their first arrival.
#[derive(Default)]
pub(crate) struct Inbox {
    items: VecDeque<Item>,
    places: HashMap<(u64, String), u64>,
    next_order: u64,
}

impl Inbox {
    /// From kept items, oldest first.
    pub(crate) fn restore(mut items: Vec<Item>) -> Self {
        items.iter_mut().for_each(|item| item.content.settle());
        let next_order = items.last().map_or(0, |item| item.order);
        let places =
            items.iter().filter_map(|item| Some(((item.from.parse().ok()?, item.id.clone()), item.order))).collect();
        Self { items: items.into(), places, next_order }
    }

    /// Notes a message that surfaced.
    pub(crate) fn surface(&mut self, from: Address, addressing: Addressing, id: &str, content: Content, limit: usize) {
        if let Some(item) = self.find(from.phone, id) {
            item.surfaced += 1;
            item.copies += 1;
            return;
        }
        self.next_order += 1;
        self.places.insert((from.phone, id.to_owned()), self.next_order);
        self.items.push_back(Item {
            order: self.next_order,
            id: id.to_owned(),
            from: from.phone.to_string(),
            group: None,
            content,
            first_seen_ms: crate::stanza::unix_millis(),
            surfaced: 1,
            copies: 1,
            device: from.device,
            lid_addressed: addressing == Addressing::Lid,
        });
        if self.items.len() > limit
            && let Some(oldest) = self.items.pop_front()
            && let Ok(phone) = oldest.from.parse()
        {
            self.places.remove(&(phone, oldest.id));
        }
    }

    /// Notes a copy that did not surface.
    pub(crate) fn copy(&mut self, from: u64, id: &str) {
        if let Some(item) = self.find(from, id) {
            item.copies += 1;
        }
    }

    pub(crate) fn find(&mut self, from: u64, id: &str) -> Option<&mut Item> {
        let order = *self.places.get(&(from, id.to_owned()))?;
        let index = self.items.binary_search_by_key(&order, |item| item.order).ok()?;
        self.items.get_mut(index)
    }

    /// The messages with these ids, from whomever.
    pub(crate) fn by_ids(&self, ids: &[String]) -> Vec<Item> {
        self.items.iter().filter(|item| ids.contains(&item.id)).cloned().collect()
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Empties it; orders go on.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.places.clear();
    }
}
