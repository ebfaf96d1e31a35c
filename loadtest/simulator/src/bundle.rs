//! Pre-key bundles: what somebody needs to start a Signal session with a device.

use crate::account::{Account, PublishedKeys};
use crate::address::{Addressing, PHONE};
use crate::notification::{self, Notification};
use crate::stanza;
use crate::world::World;
use wacore::iq::prekeys::{OneTimePreKeyNode, PreKeyBundleUserNode, SignedPreKeyNode};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};

/// When so few one-time keys are left, the device is asked for more.
const LOW_KEYS: usize = 10;

/// One device's bundle, with a one-time key nobody else gets.
pub(crate) struct Bundle {
    pub(crate) keys: PublishedKeys,
    pub(crate) identity: [u8; 32],
    pub(crate) one_time: Option<(u32, [u8; 32])>,
    /// The ADV identity, for companions.
    pub(crate) device_identity: Option<Vec<u8>>,
}

/// Why there is no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The device is not (or no longer) linked.
    NoSuchDevice,
    /// The device has not published keys yet.
    NoKeys,
}

/// Takes a bundle out of a device's stock.
pub(crate) fn take(world: &World, account: &Account, device: u16) -> Result<Bundle, Missing> {
    if device == PHONE {
        return Ok(of_phone(account));
    }
    let (bundle, left, tell) = {
        let mut state = account.state();
        let device = state.devices.get_mut(&device).ok_or(Missing::NoSuchDevice)?;
        let keys = device.keys.clone().ok_or(Missing::NoKeys)?;
        let one_time = device.one_time.pop_front();
        let left = device.one_time.len();
        let tell = left <= LOW_KEYS && !device.told_low;
        device.told_low |= tell;
        let bundle =
            Bundle { keys, identity: device.identity, one_time, device_identity: Some(device.device_identity.clone()) };
        (bundle, left, tell)
    };
    account.touch();
    if tell {
        ask_for_keys(world, account, device, left);
    }
    Ok(bundle)
}

fn of_phone(account: &Account) -> Bundle {
    let mut handset = account.handset();
    let one_time = Some(handset.keys.one_time.issue());
    let keys = PublishedKeys {
        registration: handset.keys.identity.registration,
        signed_id: handset.keys.signed_id(),
        signed_key: handset.keys.signed.pair.public_key.public_key_bytes().to_vec(),
        signature: handset.keys.signed.signature.clone(),
    };
    let mut identity = [0_u8; 32];
    identity.copy_from_slice(account.identity.public_key.public_key_bytes());
    drop(handset);
    account.touch();
    Bundle { keys, identity, one_time, device_identity: None }
}

/// `<notification type="encrypt"><count value/></notification>`, on which clients upload more keys.
fn ask_for_keys(world: &World, account: &Account, device: u16, left: usize) {
    let id = format!("keys-{}", stanza::unix_millis());
    let count = NodeBuilder::new("count").attr("value", left as u64).build();
    let node = notification::begin(SERVER_JID, "encrypt", &id).children([count]).build();
    if let Some(notification) = Notification::of(id, 0, &node) {
        notification.tell_one(world, account, device);
    }
}

/// The `<user>` of a bundle answer, under the address that was asked for.
pub(crate) fn user_node(jid: Jid, bundle: Bundle) -> Node {
    use wacore::protocol::ProtocolNode as _;
    PreKeyBundleUserNode {
        jid,
        registration_id: bundle.keys.registration,
        identity_key: bundle.identity.to_vec(),
        signed_pre_key: SignedPreKeyNode::new(bundle.keys.signed_id, bundle.keys.signed_key, bundle.keys.signature),
        one_time_pre_key: bundle.one_time.map(|(id, key)| OneTimePreKeyNode::new(id, key.to_vec())),
        device_identity: bundle.device_identity,
    }
    .into_node()
}

/// The `<user>` of a device there is no bundle for. 406 makes clients refresh their device list.
pub(crate) fn missing_node(jid: Jid, missing: Missing) -> Node {
    let (code, text) = match missing {
        Missing::NoSuchDevice => (406_u16, "not-acceptable"),
        Missing::NoKeys => (404, "item-not-found"),
    };
    NodeBuilder::new("user")
        .attr("jid", jid)
        .children([NodeBuilder::new("error").attr("code", code).attr("text", text).build()])
        .build()
}

/// Whether every companion of an account has published keys, so that a message can reach all of them.
pub(crate) fn all_published(account: &Account) -> bool {
    account.state().devices.values().all(|device| device.keys.is_some())
}

/// The addressing other people use for an account.
pub(crate) fn addressing_of(account: &Account) -> Addressing {
    if account.state().lid_migrated { Addressing::Lid } else { Addressing::Pn }
}
