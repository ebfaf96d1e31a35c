//! The history a phone hands to its companions: of every chat the latest messages when one is linked, older ones when it
//! asks for them.
//!
//! A phone here knows what it received (its inbox) and the last messages that it or a companion sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use wacore::download::MediaType;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use waproto::whatsapp::message::{
    HistorySyncNotification, HistorySyncType as NotifiedType, ProtocolMessage, protocol_message,
};
use waproto::whatsapp::{
    Conversation, HistorySync, HistorySyncMsg, Message, MessageKey, PhoneNumberToLIDMapping, Pushname, WebMessageInfo,
};

use super::{Item, outbound};
use crate::account::Account;
use crate::address::{Addressing, PHONE};
use crate::world::World;
use crate::{bundle, groups, media, stanza, tokens};

/// Chats in one history, the latest of them.
const CHAT_LIMIT: usize = 200;
/// Messages of one chat that a new companion gets.
const CHAT_MESSAGES: usize = 50;
/// Messages in one answer to a companion that asks for older ones.
const PAGE_LIMIT: usize = 500;
/// A smaller history goes inside the message, a larger one over the media host.
const INLINE_LIMIT: usize = 48 * 1024;
/// Messages of the account's own that its phone remembers for the history, and the largest of them, in bytes.
const OWN_LIMIT: usize = 64;
const OWN_BYTES: usize = 4 * 1024;

/// Which chat a message is in: with somebody, or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chat {
    With(u64),
    Group(u64),
}

/// One message that the account itself sent.
struct Own {
    chat: Chat,
    id: String,
    at_ms: u64,
    encoded: Vec<u8>,
}

/// The last messages that the account sent, from whichever device. Not kept over a restart.
#[derive(Default)]
pub(crate) struct OwnMessages(VecDeque<Own>);

impl OwnMessages {
    pub(super) fn note(&mut self, chat: Chat, id: &str, message: &Message) {
        let encoded = message.encode_to_vec();
        if encoded.len() > OWN_BYTES {
            return;
        }
        if self.0.len() >= OWN_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(Own { chat, id: id.to_owned(), at_ms: stanza::unix_millis(), encoded });
    }
}

/// One message of a chat, as the history has it.
struct Line {
    at_ms: u64,
    from_me: bool,
    id: String,
    /// Of a message of somebody else in a group.
    author: Option<u64>,
    message: Message,
}

/// Hands a companion that was just linked the latest of every chat, the names, and, where that is its way, the salt of the
/// account's tokens.
pub(super) fn tell(world: &World, account: &std::sync::Arc<Account>, device: u16) {
    let mut chats: Vec<(Chat, Vec<Line>)> = diary(account).into_iter().collect();
    chats.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.last().map_or(0, |line| line.at_ms)));
    chats.truncate(CHAT_LIMIT);
    let people: Vec<u64> =
        chats.iter().filter_map(|(chat, _)| matches!(chat, Chat::With(_)).then_some(chat.number())).collect();
    let conversations = chats.into_iter().map(|(chat, mut lines)| {
        let skipped = lines.len().saturating_sub(CHAT_MESSAGES);
        conversation(world, account, chat, lines.split_off(skipped), skipped == 0)
    });
    let salted = account.state().traits.salt_in_history.done;
    let bootstrap = HistorySync {
        sync_type: HistorySyncType::INITIAL_BOOTSTRAP,
        conversations: conversations.collect(),
        chunk_order: Some(1),
        progress: Some(100),
        phone_number_to_lid_mappings: people.iter().filter_map(|phone| mapping(world, *phone)).collect(),
        nct_salt: salted.then(|| tokens::salt(account).to_vec()),
        ..Default::default()
    };
    send(world, account, device, &bootstrap, NotifiedType::INITIAL_BOOTSTRAP, None);
    let own = (account.jid(PHONE, Addressing::Pn).to_string(), account.state().name.clone());
    let names = people.iter().filter_map(|phone| {
        let person = world.directory.by_phone(*phone)?;
        let name = person.state().name.clone();
        Some((person.jid(PHONE, Addressing::Pn).to_string(), name))
    });
    let names = HistorySync {
        sync_type: HistorySyncType::PUSH_NAME,
        pushnames: names.chain([own]).map(|(id, name)| Pushname { id: Some(id), pushname: Some(name) }).collect(),
        chunk_order: Some(1),
        progress: Some(100),
        ..Default::default()
    };
    send(world, account, device, &names, NotifiedType::PUSH_NAME, None);
}

/// Answers a companion that asks for what came before a message of a chat.
pub(super) fn answer(
    world: &World,
    account: &std::sync::Arc<Account>,
    device: u16,
    request: &str,
    asked: &HistorySyncOnDemandRequest,
) {
    let Some(chat) = asked.chat_jid.as_deref().and_then(|jid| Chat::parse(world, jid)) else { return };
    let mut lines = diary(account).remove(&chat).unwrap_or_default();
    let oldest = lines.iter().position(|line| Some(line.id.as_str()) == asked.oldest_msg_id.as_deref());
    let before = asked.oldest_msg_timestamp_ms.and_then(|at| u64::try_from(at).ok()).unwrap_or(u64::MAX);
    match oldest {
        Some(place) => lines.truncate(place),
        None => lines.retain(|line| line.at_ms < before),
    }
    let wanted = asked.on_demand_msg_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_LIMIT);
    let skipped = lines.len().saturating_sub(wanted.min(PAGE_LIMIT));
    let found = HistorySync {
        sync_type: HistorySyncType::ON_DEMAND,
        conversations: vec![conversation(world, account, chat, lines.split_off(skipped), skipped == 0)],
        chunk_order: Some(1),
        progress: Some(100),
        ..Default::default()
    };
    send(world, account, device, &found, NotifiedType::ON_DEMAND, Some(request));
}

impl Chat {
    fn number(self) -> u64 {
        match self {
            Self::With(phone) => phone,
            Self::Group(group) => group,
        }
    }

    pub(super) fn parse(world: &World, jid: &str) -> Option<Self> {
        let jid = jid.parse().ok()?;
        let person = || world.directory.locate(&jid).map(|account| Self::With(account.phone));
        groups::id_of(&jid).map(Self::Group).or_else(person)
    }
}

/// Every chat with its messages, oldest first.
fn diary(account: &Account) -> BTreeMap<Chat, Vec<Line>> {
    let mut chats: BTreeMap<Chat, Vec<Line>> = BTreeMap::new();
    let handset = account.handset();
    for (chat, line) in handset.inbox.items().filter_map(received) {
        chats.entry(chat).or_default().push(line);
    }
    for own in &handset.own_messages.0 {
        let Ok(message) = Message::decode_from_slice(&own.encoded) else { continue };
        let line = Line { at_ms: own.at_ms, from_me: true, id: own.id.clone(), author: None, message };
        chats.entry(own.chat).or_default().push(line);
    }
    drop(handset);
    for lines in chats.values_mut() {
        lines.sort_by_key(|line| line.at_ms);
    }
    chats
}

/// A post to `status@broadcast` is in no chat.
fn received(item: &Item) -> Option<(Chat, Line)> {
    let from: u64 = item.from.parse().ok()?;
    let group = item.group.as_deref().and_then(groups::parse_id);
    let chat = match group {
        Some(groups::STATUS) => return None,
        Some(group) => Chat::Group(group),
        None => Chat::With(from),
    };
    let author = group.map(|_| from);
    let line = Line { at_ms: item.first_seen_ms, from_me: false, id: item.id.clone(), author, message: item.message()? };
    Some((chat, line))
}

/// A chat under the name that the account's companions use for it.
fn conversation(world: &World, account: &Account, chat: Chat, lines: Vec<Line>, complete: bool) -> Conversation {
    let addressing = bundle::addressing_of(account);
    let (id, name) = match chat {
        Chat::Group(group) => {
            let known = world.groups.get(group).map(|group| group.state().subject.text.clone());
            (groups::jid(group).to_string(), known)
        }
        Chat::With(phone) => {
            let person = world.directory.by_phone(phone);
            let name = person.as_ref().map(|person| person.state().name.clone());
            (person.map(|person| person.jid(PHONE, addressing).to_string()).unwrap_or_default(), name)
        }
    };
    let last = lines.last().map(|line| line.at_ms / 1_000);
    let messages = lines.into_iter().enumerate().map(|(order, line)| HistorySyncMsg {
        message: MessageField::some(web_message(world, &id, addressing, line)),
        msg_order_id: u64::try_from(order).ok(),
    });
    Conversation {
        messages: messages.collect(),
        id,
        name,
        last_msg_timestamp: last,
        conversation_timestamp: last,
        end_of_history_transfer: Some(complete),
        ..Default::default()
    }
}

fn web_message(world: &World, chat: &str, addressing: Addressing, line: Line) -> WebMessageInfo {
    let author = line.author.and_then(|phone| world.directory.by_phone(phone));
    WebMessageInfo {
        key: MessageField::some(MessageKey {
            remote_jid: Some(chat.to_owned()),
            from_me: Some(line.from_me),
            id: Some(line.id),
            participant: author.map(|author| author.jid(PHONE, addressing).to_string()),
        }),
        message: MessageField::some(line.message),
        message_timestamp: Some(line.at_ms / 1_000),
        ..Default::default()
    }
}

fn mapping(world: &World, phone: u64) -> Option<PhoneNumberToLIDMapping> {
    let person = world.directory.by_phone(phone)?;
    Some(PhoneNumberToLIDMapping {
        pn_jid: Some(person.jid(PHONE, Addressing::Pn).to_string()),
        lid_jid: Some(person.jid(PHONE, Addressing::Lid).to_string()),
    })
}

/// Sends one chunk; `session` names the request it answers.
fn send(
    world: &World,
    account: &std::sync::Arc<Account>,
    device: u16,
    history: &HistorySync,
    kind: NotifiedType,
    session: Option<&str>,
) {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(&history.encode_to_vec()).and_then(|()| encoder.finish());
    let Ok(packed) = packed else { return };
    let notification = HistorySyncNotification {
        sync_type: Some(kind),
        chunk_order: history.chunk_order,
        progress: history.progress,
        peer_data_request_session_id: session.map(ToOwned::to_owned),
        ..Default::default()
    };
    let notification = match place(world, notification, packed) {
        Ok(notification) => notification,
        Err(error) => {
            tracing::error!(%error, "handset.history.failed");
            return;
        }
    };
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::HISTORY_SYNC_NOTIFICATION),
        history_sync_notification: MessageField::some(notification),
        ..Default::default()
    };
    outbound::tell_companion(world, account, device, protocol);
}

/// Puts the packed history into the notification, or on the media host with its keys in the notification.
fn place(
    world: &World,
    notification: HistorySyncNotification,
    packed: Vec<u8>,
) -> Result<HistorySyncNotification, media::Error> {
    if packed.len() <= INLINE_LIMIT {
        return Ok(HistorySyncNotification { initial_hist_bootstrap_inline_payload: Some(packed), ..notification });
    }
    let sealed = world.media.seal(MediaType::History, &mut packed.as_slice())?;
    Ok(HistorySyncNotification {
        file_sha256: Some(sealed.info.file_sha256.to_vec()),
        file_length: Some(sealed.info.file_length),
        media_key: Some(sealed.info.media_key.to_vec()),
        file_enc_sha256: Some(sealed.info.file_enc_sha256.to_vec()),
        direct_path: Some(sealed.direct_path),
        ..notification
    })
}
