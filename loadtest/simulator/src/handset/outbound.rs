//! What a phone writes: messages to accounts, the same message again for a device that could not open it, and the app state
//! key for its own companions.

use std::sync::Arc;

use bytes::Bytes;
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
    PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType, ProtocolMessage, protocol_message,
};
use waproto::whatsapp::{Message, MessageKey, WebMessageInfo};

use super::content::Form;
use super::{AppStateKey, Ciphertext, Encryption, Incoming, Job, Sent, Task, app_state, group, history};
use crate::account::{Account, Outgoing};
use crate::address::{Address, Addressing, PHONE};
use crate::bundle;
use crate::groups;
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// What the envelope of a phone's message says besides the ciphertext.
struct Envelope<'a> {
    id: &'a str,
    addressing: Addressing,
    /// `peer` for what an account's devices tell each other.
    category: Option<&'static str>,
    form: Form,
}

/// Writes a message to every device of another account.
pub(super) fn send(world: &World, account: &Arc<Account>, to: &Arc<Account>, id: &str, message: &Message) {
    let padded = MessageUtils::encode_and_pad(message);
    let addressing = bundle::addressing_of(to);
    let form = Form::of(message);
    {
        let mut handset = account.handset();
        handset.remember(Sent { id: id.to_owned(), to: to.phone, padded: padded.clone(), form: form.clone() });
        handset.own_messages.note(history::Chat::With(to.phone), id, message);
    }
    let envelope = Envelope { id, addressing, category: None, form };
    crate::profile::acquaint(account, to);
    for device in to.device_ids() {
        write(world, account, to, device, &padded, &envelope);
    }
    world.counters.handset_sent.one();
}

/// Encrypts a remembered message anew, in a fresh session, for the one device that asked.
pub(super) fn resend(world: &World, account: &Arc<Account>, to: Address, addressing: Addressing, id: &str) {
    let Some(target) = world.directory.by_phone(to.phone) else { return };
    let sent = {
        let mut handset = account.handset();
        handset.sessions.forget(to);
        handset.sent(id, to.phone)
    };
    if let Some(sent) = sent {
        let envelope = Envelope { id, addressing, category: None, form: sent.form };
        write(world, account, &target, to.device, &sent.padded, &envelope);
    }
}

/// Sends the app state key to one companion: all of it after pairing, or when one of the requested ids is ours. An offline
/// phone does so when it is online again.
pub(super) fn share_key(world: &World, account: &Arc<Account>, device: u16, requested: &[Vec<u8>]) {
    if !account.state().habits.online {
        account.handset().owed_key.insert(device);
        return;
    }
    if requested.is_empty() {
        app_state::begin(world, account);
    }
    let key = account.handset().app_state_key.clone();
    if !requested.is_empty() && !requested.contains(&key.id) {
        return;
    }
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare {
            keys: vec![sync_key(&key, account.state().raw_id)],
        }),
        ..Default::default()
    };
    tell_companion(world, account, device, protocol);
    if requested.is_empty() {
        history::tell(world, account, device);
    }
}

/// Answers a companion that asks for messages it could not read, with those this phone has received (the newest
/// `inbox_limit`). What the phone does not have is left out, as a phone does that could not read it either.
pub(super) fn share_messages(world: &World, account: &Arc<Account>, device: u16, request: &str, wanted: &[MessageKey]) {
    let found = wanted.iter().filter_map(|key| received(world, account, key));
    let results = found.map(|message| PeerDataOperationResult {
        placeholder_message_resend_response: MessageField::some(PlaceholderMessageResendResponse {
            web_message_info_bytes: Some(message.encode_to_vec()),
        }),
        ..Default::default()
    });
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
        peer_data_operation_request_response_message: MessageField::some(PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: Some(PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND),
            stanza_id: Some(request.to_owned()),
            peer_data_operation_result: results.collect(),
        }),
        ..Default::default()
    };
    tell_companion(world, account, device, protocol);
}

/// A message of the phone's inbox as phones hand it on, named by phone number.
fn received(world: &World, account: &Account, key: &MessageKey) -> Option<WebMessageInfo> {
    let (chat, id): (Jid, _) = (key.remote_jid.as_deref()?.parse().ok()?, key.id.as_deref()?);
    let in_group = groups::id_of(&chat).is_some();
    let author: Jid = if in_group { key.participant.as_deref()?.parse().ok()? } else { chat.clone() };
    let sender = world.directory.locate(&author)?;
    let item = account.handset().inbox.find(sender.phone, id)?.clone();
    let sender_jid = sender.jid(PHONE, Addressing::Pn).to_string();
    Some(WebMessageInfo {
        key: MessageField::some(MessageKey {
            remote_jid: Some(if in_group { chat.to_string() } else { sender_jid.clone() }),
            from_me: Some(false),
            id: Some(item.id.clone()),
            participant: in_group.then_some(sender_jid),
        }),
        message: MessageField::some(item.message()?),
        message_timestamp: Some(item.first_seen_ms / 1_000),
        push_name: Some(sender.state().name.clone()),
        ..Default::default()
    })
}

/// Writes to one companion of the same account.
pub(super) fn tell_companion(world: &World, account: &Arc<Account>, device: u16, protocol: ProtocolMessage) {
    let message = Message { protocol_message: MessageField::some(protocol), ..Default::default() };
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    let form = Form::of(&message);
    let envelope = Envelope { id: &id, addressing: Addressing::Pn, category: Some("peer"), form };
    write(world, account, account, device, &MessageUtils::encode_and_pad(&message), &envelope);
}

fn sync_key(key: &AppStateKey, raw_id: u32) -> AppStateSyncKey {
    AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(key.id.clone()) }),
        key_data: MessageField::some(AppStateSyncKeyData {
            key_data: Some(key.secret.clone()),
            fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                raw_id: Some(raw_id),
                current_index: Some(0),
                device_indexes: vec![0],
            }),
            timestamp: Some(i64::try_from(key.created_ms).unwrap_or_default()),
        }),
    }
}

/// Encrypts for one device and hands it over: to a companion's queue, or to the other phone.
fn write(world: &World, from: &Arc<Account>, to: &Arc<Account>, device: u16, padded: &[u8], envelope: &Envelope<'_>) {
    let Some((encryption, ciphertext)) = group::seal(world, from, to, device, padded) else { return };
    if device == PHONE {
        let incoming = Incoming {
            from: Address { phone: from.phone, device: PHONE },
            addressing: envelope.addressing,
            id: envelope.id.to_owned(),
            timestamp: stanza::unix_seconds(),
            group: None,
            ciphertexts: vec![Ciphertext { encryption: Some(encryption), bytes: ciphertext }],
        };
        world.handsets.follow_up(Job { account: Arc::clone(to), task: Task::Receive(Box::new(incoming)) });
        return;
    }
    let node = message_node(from, encryption, ciphertext, envelope);
    let Ok(marshaled) = wacore_binary::marshal(&node) else { return };
    let outgoing = Outgoing {
        class: Class::Message,
        id: envelope.id.to_owned(),
        from: from.phone,
        stanza: Bytes::from(marshaled),
        noted_from: envelope.category.is_none().then(|| from.jid(PHONE, envelope.addressing).to_string()),
    };
    to.enqueue(world, device, outgoing);
    world.counters.messages_relayed.one();
}

fn message_node(from: &Account, encryption: Encryption, ciphertext: Vec<u8>, envelope: &Envelope<'_>) -> Node {
    let name = from.state().name.clone();
    let mut builder = NodeBuilder::new("message")
        .attr("from", from.jid(PHONE, envelope.addressing))
        .attr("id", envelope.id)
        .attr("t", stanza::unix_seconds())
        .attr("type", envelope.form.kind)
        .attr("notify", name);
    if let Some(edit) = &envelope.form.edit {
        builder = builder.attr("edit", edit.as_str());
    }
    builder = match envelope.category {
        Some(category) => builder.attr("category", category),
        None => match envelope.addressing {
            Addressing::Pn => builder.attr("sender_lid", from.jid(PHONE, Addressing::Lid)),
            Addressing::Lid => builder.attr("sender_pn", from.jid(PHONE, Addressing::Pn)),
        },
    };
    let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", encryption.name());
    if let Some(media) = envelope.form.media {
        enc = enc.attr("mediatype", media);
    }
    builder.children([enc.bytes(ciphertext).build()]).build()
}
