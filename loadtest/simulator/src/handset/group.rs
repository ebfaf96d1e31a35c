//! A phone in its groups, and with its posts: what it writes there, and the same again for a device that could not open it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wacore::messages::MessageUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::SenderKeyDistributionMessage;

use super::content::Form;
use super::{Encryption, Job, Sent, history};
use crate::account::Account;
use crate::address::{Address, PHONE};
use crate::groups::relay::{self, Letter};
use crate::groups::{self, Group, STATUS};
use crate::world::World;
use crate::{blocklist, bundle, profile, stanza};

/// Where a phone writes under a sender key of its own.
enum Circle<'a> {
    Group(&'a Group),
    /// A post, to these accounts.
    Status(Vec<Arc<Account>>),
}

impl Circle<'_> {
    fn number(&self) -> u64 {
        match self {
            Self::Group(group) => group.id,
            Self::Status(_) => STATUS,
        }
    }

    fn devices(&self, world: &World, but: Address) -> Vec<(Arc<Account>, u16)> {
        match self {
            Self::Group(group) => relay::recipients(world, group, but),
            Self::Status(audience) => relay::devices_of(audience, but),
        }
    }

    fn deliver(&self, world: &World, letter: &Letter<'_>) -> Vec<Job> {
        match self {
            Self::Group(group) => relay::deliver(world, group, letter),
            Self::Status(audience) => relay::post_to(world, audience, letter),
        }
    }
}

/// Writes a message to a group: its sender key to whoever has not got it, the message to everybody.
pub(super) fn send(world: &World, account: &Arc<Account>, group: &Arc<Group>, id: &str, message: &Message) {
    account.handset().own_messages.note(history::Chat::Group(group.id), id, message);
    write(world, account, &Circle::Group(group), id, message);
}

/// Posts to `status@broadcast`, for everybody the account has exchanged messages with and none of whom blocked the other.
pub(super) fn post(world: &World, account: &Arc<Account>, id: &str, message: &Message) {
    let known = profile::acquaintances(world, account).into_iter();
    let audience = known.filter(|other| !blocklist::between(account, other)).chain([Arc::clone(account)]);
    write(world, account, &Circle::Status(audience.collect()), id, message);
}

fn write(world: &World, account: &Arc<Account>, circle: &Circle<'_>, id: &str, message: &Message) {
    let own = Address { phone: account.phone, device: PHONE };
    let devices = circle.devices(world, own);
    let padded = MessageUtils::encode_and_pad(message);
    let form = Form::of(message);
    let number = circle.number();
    let (needing, key) = {
        let mut handset = account.handset();
        handset.remember(Sent { id: id.to_owned(), to: number, padded: padded.clone(), form: form.clone() });
        let needing = handset.sender_keys.needing(own, number, &relay::addresses(&devices));
        (needing, handset.sender_key(own, number))
    };
    let Ok(key) = key else { return };
    let keys = hand_out(world, account, number, &devices, &needing, key);
    let Ok(sealed) = account.handset().encrypt_group(own, number, &padded) else { return };
    let shared = enc(Encryption::SenderKey, sealed, form.media);
    deliver(world, account, circle, id, &form, keys, Some(shared));
    world.counters.handset_sent.one();
}

/// Encrypts a remembered message for the one device that asked, in a fresh session; it gets the sender key with the
/// next message.
pub(super) fn resend(world: &World, account: &Arc<Account>, group: &Arc<Group>, to: Address, id: &str) {
    let Some(target) = world.directory.by_phone(to.phone) else { return };
    let sent = {
        let mut handset = account.handset();
        handset.sessions.forget(to);
        handset.sender_keys.forget_holder(group.id, to);
        handset.sent(id, group.id)
    };
    let Some(sent) = sent else { return };
    if let Some((encryption, ciphertext)) = seal(world, account, &target, to.device, &sent.padded) {
        let own = BTreeMap::from([(to, enc(encryption, ciphertext, sent.form.media))]);
        deliver(world, account, &Circle::Group(group), id, &sent.form, own, None);
    }
}

/// The sender key under the session of each device that needs it. A device without keys is left out: it will ask.
fn hand_out(
    world: &World,
    account: &Arc<Account>,
    number: u64,
    devices: &[(Arc<Account>, u16)],
    needing: &BTreeSet<Address>,
    key: Vec<u8>,
) -> BTreeMap<Address, Node> {
    let distribution = SenderKeyDistributionMessage {
        group_id: Some(groups::jid(number).to_string()),
        axolotl_sender_key_distribution_message: Some(key),
    };
    let message = Message { sender_key_distribution_message: MessageField::some(distribution), ..Default::default() };
    let padded = MessageUtils::encode_and_pad(&message);
    let mut sealed = BTreeMap::new();
    for (target, device) in devices {
        let address = Address { phone: target.phone, device: *device };
        if !needing.contains(&address) {
            continue;
        }
        if let Some((encryption, ciphertext)) = seal(world, account, target, *device, &padded) {
            account.handset().sender_keys.handed_out(number, address);
            sealed.insert(address, enc(encryption, ciphertext, None));
        }
    }
    sealed
}

/// Encrypts for one device under its session, starting one if there is none.
pub(super) fn seal(
    world: &World,
    from: &Arc<Account>,
    to: &Arc<Account>,
    device: u16,
    padded: &[u8],
) -> Option<(Encryption, Vec<u8>)> {
    let address = Address { phone: to.phone, device };
    let known = from.handset().sessions.has(address);
    // The bundle is taken while no lock of ours is held: the other account may be doing the same with us.
    let fresh = if known { None } else { bundle::take(world, to, device).ok() };
    let mut handset = from.handset();
    if !known {
        let established = fresh.is_some_and(|bundle| handset.establish(address, &bundle).is_ok());
        if !established {
            world.counters.devices_without_keys.one();
            return None;
        }
    }
    let sealed = handset.encrypt(address, padded);
    if sealed.is_err() {
        handset.sessions.forget(address);
        world.counters.devices_without_keys.one();
    }
    sealed.ok()
}

fn enc(encryption: Encryption, ciphertext: Vec<u8>, media: Option<&'static str>) -> Node {
    let mut builder = NodeBuilder::new("enc").attr("v", "2").attr("type", encryption.name());
    if let Some(media) = media {
        builder = builder.attr("mediatype", media);
    }
    builder.bytes(ciphertext).build()
}

fn deliver(
    world: &World,
    account: &Arc<Account>,
    circle: &Circle<'_>,
    id: &str,
    form: &Form,
    own: BTreeMap<Address, Node>,
    shared: Option<Node>,
) {
    let letter = Letter {
        sender: account,
        device: PHONE,
        id,
        timestamp: stanza::unix_seconds(),
        kind: form.kind.to_owned(),
        edit: form.edit.clone(),
        own,
        shared,
        // A phone has none: its identity is the account's.
        identity: None,
        forwarded: Vec::new(),
    };
    for job in circle.deliver(world, &letter) {
        world.handsets.follow_up(job);
    }
}
