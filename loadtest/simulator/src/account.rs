//! One phone number: its phone (device 0), its companion devices with their keys and queues, and its settings.
//! A person of the sandbox is an account without companions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wacore_binary::Jid;
use wacore_libsignal::protocol::KeyPair;

use crate::address::{Addressing, PHONE};
use crate::app_state::Collection;
use crate::blocklist::Blocked;
use crate::habits::Habits;
use crate::handset::Handset;
use crate::ledger::Ledger;
use crate::link::Link;
use crate::presence::Presence;
use crate::privacy::Privacy;
use crate::profile::{Chats, Profile};
use crate::queue::{Class, Queue};
use crate::stanza;
use crate::traits::Traits;
use crate::trouble::{Refusing, Trouble};
use crate::world::World;

/// Companions one account may link. WhatsApp allows four; tests of many workers want more.
const MAX_DEVICES: usize = 32;

/// An account. Whoever holds a phone's lock (`handset`) may take a `state` lock, of any account; never the other way
/// round, and never two of the same kind.
pub(crate) struct Account {
    pub(crate) phone: u64,
    pub(crate) lid: u64,
    /// The identity of device 0. It signs the companions, so it is also the account signature key.
    pub(crate) identity: KeyPair,
    state: Mutex<State>,
    handset: Mutex<Handset>,
    dirty: AtomicBool,
}

/// What changes about an account, apart from its phone's sessions.
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) traits: Traits,
    pub(crate) devices: BTreeMap<u16, Device>,
    pub(crate) next_device: u16,
    pub(crate) next_key_index: u32,
    /// Names this list of companions; constant for the account.
    pub(crate) raw_id: u32,
    /// The name under which an unpaired client registered that this phone scanned by itself.
    pub(crate) registered_as: Option<String>,
    /// When the list of companions last changed, in Unix seconds.
    pub(crate) devices_changed: u64,
    /// The signed list of key indexes, until the next change.
    pub(crate) signed_list: Option<Vec<u8>>,
    /// A companion was linked at some time: this is an account under test, not a person of the sandbox.
    pub(crate) paired: bool,
    pub(crate) lid_migrated: bool,
    pub(crate) habits: Habits,
    pub(crate) trouble: Trouble,
    pub(crate) profile: Profile,
    pub(crate) presence: Presence,
    pub(crate) chats: Chats,
    pub(crate) blocked: Blocked,
    pub(crate) privacy: Privacy,
    /// The next logins that are refused.
    pub(crate) refusing: Refusing,
    pub(crate) ledger: Ledger,
    pub(crate) collections: BTreeMap<String, Collection>,
}

/// One linked companion.
pub(crate) struct Device {
    pub(crate) key_index: u32,
    /// The Noise key it was paired with; a login with another one is refused.
    pub(crate) noise_key: [u8; 32],
    pub(crate) identity: [u8; 32],
    /// The `ADVSignedDeviceIdentity` with both signatures.
    pub(crate) device_identity: Vec<u8>,
    pub(crate) keys: Option<PublishedKeys>,
    pub(crate) one_time: VecDeque<(u32, [u8; 32])>,
    /// The device was told that its one-time keys run out, and has not uploaded since.
    pub(crate) told_low: bool,
    pub(crate) queue: Queue,
    pub(crate) link: Option<Link>,
    /// When its last connection ended, unless another one had taken its place.
    pub(crate) left: Option<Instant>,
    /// The `Host` by which its last connection reached us.
    pub(crate) reached: Option<String>,
    pub(crate) logins: u64,
    pub(crate) replaced: u64,
}

/// The part of a device's bundle that is used more than once.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct PublishedKeys {
    pub(crate) registration: u32,
    pub(crate) signed_id: u32,
    pub(crate) signed_key: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A stanza for one device.
pub(crate) struct Outgoing {
    pub(crate) class: Class,
    pub(crate) id: String,
    /// The sender's phone number; 0 is the server.
    pub(crate) from: u64,
    pub(crate) stanza: Bytes,
    /// Set for messages the ledger should know of: the sender's JID as the device sees it.
    pub(crate) noted_from: Option<String>,
}

impl Device {
    pub(crate) fn new(key_index: u32, noise_key: [u8; 32], identity: [u8; 32], device_identity: Vec<u8>) -> Self {
        Self {
            key_index,
            noise_key,
            identity,
            device_identity,
            keys: None,
            one_time: VecDeque::new(),
            told_low: false,
            queue: Queue::default(),
            link: None,
            left: None,
            reached: None,
            logins: 0,
            replaced: 0,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_open)
    }
}

impl State {
    pub(crate) fn new(name: String, raw_id: u32, lid_migrated: bool) -> Self {
        Self {
            traits: Traits::of_name(&name),
            name,
            devices: BTreeMap::new(),
            next_device: 1,
            next_key_index: 1,
            raw_id,
            registered_as: None,
            devices_changed: stanza::unix_seconds(),
            signed_list: None,
            paired: false,
            lid_migrated,
            habits: Habits::default(),
            trouble: Trouble::default(),
            profile: Profile::default(),
            presence: Presence::default(),
            chats: Chats::default(),
            blocked: Blocked::default(),
            privacy: Privacy::default(),
            refusing: Refusing::default(),
            ledger: Ledger::default(),
            collections: BTreeMap::new(),
        }
    }

    /// Takes the next number of a companion, and the index of its key; `None` when there are too many. Numbers are never used
    /// twice.
    pub(crate) fn reserve(&mut self) -> Option<(u16, u32)> {
        if self.devices.len() >= MAX_DEVICES {
            return None;
        }
        let device = self.next_device;
        // 99 is the first number of the hosted range.
        self.next_device = device.checked_add(1).filter(|next| *next != 99).unwrap_or(100);
        let key_index = self.next_key_index;
        self.next_key_index += 1;
        Some((device, key_index))
    }

    /// A companion is linked, under a number that was reserved for it.
    pub(crate) fn link(&mut self, device: u16, linked: Device) {
        self.devices.insert(device, linked);
        self.paired = true;
        self.devices_changed();
    }

    /// The list of companions is another one now.
    pub(crate) fn devices_changed(&mut self) {
        self.devices_changed = stanza::unix_seconds().max(self.devices_changed + 1);
        self.signed_list = None;
    }
}

impl Account {
    pub(crate) fn new(phone: u64, lid: u64, identity: KeyPair, state: State, handset: Handset) -> Self {
        Self { phone, lid, identity, state: Mutex::new(state), handset: Mutex::new(handset), dirty: AtomicBool::new(true) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handset(&self) -> MutexGuard<'_, Handset> {
        self.handset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of one of its devices under one of its two names.
    pub(crate) fn jid(&self, device: u16, addressing: Addressing) -> Jid {
        match addressing {
            Addressing::Pn => Jid::pn_device(self.phone.to_string(), device),
            Addressing::Lid => Jid::lid_device(self.lid.to_string(), device),
        }
    }

    /// Every device, the phone first.
    pub(crate) fn device_ids(&self) -> Vec<u16> {
        let state = self.state();
        std::iter::once(PHONE).chain(state.devices.keys().copied()).collect()
    }

    /// Every device but the phone.
    pub(crate) fn companions(&self) -> Vec<u16> {
        self.state().devices.keys().copied().collect()
    }

    /// Queues a stanza for a companion and wakes its connection. `false` when there is no such companion.
    pub(crate) fn enqueue(&self, world: &World, device: u16, outgoing: Outgoing) -> bool {
        let options = &world.options;
        let link = {
            let mut state = self.state();
            let state = &mut *state;
            let Some(target) = state.devices.get_mut(&device) else {
                return false;
            };
            if outgoing.class == Class::Ephemeral && !target.is_connected() && options.chat_state_ttl.is_zero() {
                return true;
            }
            let ledger = outgoing.noted_from.map(|from| state.ledger.emit(&outgoing.id, from, device, options.ledger_limit));
            let overflow =
                target.queue.push(outgoing.class, outgoing.id, outgoing.from, outgoing.stanza, ledger, options.queue_limit);
            if overflow {
                world.counters.queue_overflows.one();
            }
            target.link.clone()
        };
        self.touch();
        if let Some(link) = link {
            link.wake();
        }
        true
    }

    /// Queues a stanza for every companion.
    pub(crate) fn enqueue_for_all(&self, world: &World, make: impl Fn(u16) -> Outgoing) {
        for device in self.companions() {
            self.enqueue(world, device, make(device));
        }
    }

    /// Something worth a snapshot changed.
    pub(crate) fn touch(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// Whether something changed since the last call.
    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }
}
