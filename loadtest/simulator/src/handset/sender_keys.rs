//! Sender keys of one phone: its own for each group it writes to, with who has it, and those it got from others.

use std::collections::{BTreeSet, HashMap, VecDeque};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore, create_sender_key_distribution_message,
    group_decrypt, group_encrypt, process_sender_key_distribution_message,
};

use super::Handset;
use super::signal::not_ready;
use crate::address::Address;

/// Sender keys of one phone; the oldest goes first, and its messages are asked for again.
const KEY_LIMIT: usize = 20_000;
/// Messages after which a phone makes itself a new key, as clients do.
const ROTATE_AFTER: u32 = 1_000;

/// The sender keys of a phone.
#[derive(Default)]
pub(crate) struct SenderKeys {
    records: HashMap<String, SenderKeyRecord>,
    order: VecDeque<String>,
    /// Who has this phone's own key, by group.
    holders: HashMap<u64, BTreeSet<Address>>,
}

/// Sender keys as they are kept; records in base64, oldest first.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct StoredSenderKeys {
    records: Vec<(String, String)>,
    holders: Vec<(u64, BTreeSet<Address>)>,
}

impl SenderKeys {
    pub(crate) fn store(&self) -> StoredSenderKeys {
        let record = |name: &String| {
            let bytes = self.records.get(name)?.serialize().ok()?;
            Some((name.clone(), BASE64_STANDARD.encode(bytes)))
        };
        StoredSenderKeys {
            records: self.order.iter().filter_map(record).collect(),
            holders: self.holders.iter().map(|(group, holders)| (*group, holders.clone())).collect(),
        }
    }

    /// Returns how many there were.
    pub(crate) fn forget_all(&mut self) -> usize {
        std::mem::take(self).records.len()
    }

    /// The device has this phone's key no longer, or cannot use it.
    pub(super) fn forget_holder(&mut self, group: u64, device: Address) {
        if let Some(holders) = self.holders.get_mut(&group) {
            holders.remove(&device);
        }
    }

    /// Who of `devices` needs this phone's key before it can read the next message. When somebody has it who must not
    /// read on, or it was used for long, there is a new key and everybody needs it.
    pub(super) fn needing(&mut self, own: Address, group: u64, devices: &BTreeSet<Address>) -> BTreeSet<Address> {
        let name = name(own, group);
        let spent = match self.records.get(name.cache_key()) {
            Some(record) => iteration(record).is_none_or(|iteration| iteration >= ROTATE_AFTER),
            None => true,
        };
        let left = self.holders.get(&group).is_some_and(|holders| !holders.is_subset(devices));
        if spent || left {
            if self.records.remove(name.cache_key()).is_some() {
                self.order.retain(|known| known != name.cache_key());
            }
            self.holders.remove(&group);
        }
        let Some(holders) = self.holders.get(&group) else { return devices.clone() };
        devices.difference(holders).copied().collect()
    }

    pub(super) fn handed_out(&mut self, group: u64, to: Address) {
        self.holders.entry(group).or_default().insert(to);
    }
}

impl StoredSenderKeys {
    pub(crate) fn restore(self) -> anyhow::Result<SenderKeys> {
        let mut keys = SenderKeys { holders: self.holders.into_iter().collect(), ..SenderKeys::default() };
        for (name, record) in self.records {
            keys.records.insert(name.clone(), SenderKeyRecord::deserialize(&BASE64_STANDARD.decode(record)?)?);
            keys.order.push_back(name);
        }
        Ok(keys)
    }
}

fn iteration(record: &SenderKeyRecord) -> Option<u32> {
    Some(record.sender_key_state().ok()?.sender_chain_key()?.iteration())
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        let known = self.records.insert(name.cache_key().to_owned(), record).is_some();
        if !known {
            self.order.push_back(name.cache_key().to_owned());
            if self.order.len() > KEY_LIMIT
                && let Some(oldest) = self.order.pop_front()
            {
                self.records.remove(&oldest);
            }
        }
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.records.get(name.cache_key()).cloned())
    }
}

/// The name of one device's key in one group. Digests, because the library writes names into its logs.
fn name(of: Address, group: u64) -> SenderKeyName {
    let short = |number: u64| Sha256::digest(number.to_be_bytes()).first_chunk::<8>().map(hex::encode).unwrap_or_default();
    SenderKeyName::new(short(group), format!("{}.{}", short(of.phone), of.device))
}

impl Handset {
    /// Takes somebody's sender key.
    pub(super) fn take_sender_key(&mut self, from: Address, group: u64, distribution: &[u8]) -> Result<()> {
        let distribution = SenderKeyDistributionMessage::try_from(distribution)?;
        process_sender_key_distribution_message(&name(from, group), &distribution, &mut self.sender_keys)
            .now_or_never()
            .ok_or_else(not_ready)?
    }

    /// Decrypts what somebody wrote to a group.
    pub(super) fn decrypt_group(&mut self, from: Address, group: u64, bytes: &[u8]) -> Result<Vec<u8>> {
        group_decrypt(bytes, &mut self.sender_keys, &name(from, group)).now_or_never().ok_or_else(not_ready)?
    }

    /// This phone's key as others need it to read what comes next; made if there is none.
    pub(super) fn sender_key(&mut self, own: Address, group: u64) -> Result<Vec<u8>> {
        let (name, mut rng) = (name(own, group), rand::rng());
        let made = create_sender_key_distribution_message(&name, &mut self.sender_keys, &mut rng);
        Ok(made.now_or_never().ok_or_else(not_ready)??.serialized().to_vec())
    }

    /// Encrypts for everybody who has this phone's key.
    pub(super) fn encrypt_group(&mut self, own: Address, group: u64, padded: &[u8]) -> Result<Vec<u8>> {
        let (name, mut rng) = (name(own, group), rand::rng());
        let sealed = group_encrypt(&mut self.sender_keys, &name, padded, &mut rng);
        Ok(sealed.now_or_never().ok_or_else(not_ready)??.serialized().to_vec())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::trust;

    const GROUP: u64 = 120_363_000_000_000_001;
    const ALICE: Address = Address { phone: 6_281_100_000_001, device: 0 };
    const BOB: Address = Address { phone: 6_281_100_000_002, device: 0 };
    const CAROL: Address = Address { phone: 6_281_100_000_003, device: 1 };

    fn phone() -> Handset {
        Handset::new(trust::generate())
    }

    #[test]
    fn who_has_the_key_reads_and_once() {
        let (mut alice, mut bob) = (phone(), phone());
        let key = alice.sender_key(ALICE, GROUP).unwrap();
        bob.take_sender_key(ALICE, GROUP, &key).unwrap();
        let sealed = alice.encrypt_group(ALICE, GROUP, b"hello").unwrap();
        assert!(bob.decrypt_group(BOB, GROUP, &sealed).is_err(), "not Bob's own key");
        assert!(bob.decrypt_group(ALICE, GROUP + 1, &sealed).is_err(), "another group");
        assert_eq!(bob.decrypt_group(ALICE, GROUP, &sealed).unwrap(), b"hello");
        assert!(bob.decrypt_group(ALICE, GROUP, &sealed).is_err(), "the same again");
    }

    #[test]
    fn newcomers_need_the_key_and_leavers_void_it() {
        let mut alice = phone();
        let two = BTreeSet::from([BOB, CAROL]);
        assert_eq!(alice.sender_keys.needing(ALICE, GROUP, &BTreeSet::from([BOB])), BTreeSet::from([BOB]));
        let first = alice.sender_key(ALICE, GROUP).unwrap();
        alice.sender_keys.handed_out(GROUP, BOB);
        assert_eq!(alice.sender_keys.needing(ALICE, GROUP, &two), BTreeSet::from([CAROL]));
        alice.sender_keys.handed_out(GROUP, CAROL);
        assert!(alice.sender_keys.needing(ALICE, GROUP, &two).is_empty());
        let without_bob = BTreeSet::from([CAROL]);
        assert_eq!(alice.sender_keys.needing(ALICE, GROUP, &without_bob), without_bob);
        assert_ne!(alice.sender_key(ALICE, GROUP).unwrap(), first, "Bob's key must not open what follows");
    }

    #[test]
    fn kept_keys_go_on_working() {
        let (mut alice, mut bob) = (phone(), phone());
        let key = alice.sender_key(ALICE, GROUP).unwrap();
        bob.take_sender_key(ALICE, GROUP, &key).unwrap();
        alice.sender_keys.handed_out(GROUP, BOB);
        let before = alice.encrypt_group(ALICE, GROUP, b"before").unwrap();
        alice.sender_keys = alice.sender_keys.store().restore().unwrap();
        bob.sender_keys = bob.sender_keys.store().restore().unwrap();
        let after = alice.encrypt_group(ALICE, GROUP, b"after").unwrap();
        assert_eq!(bob.decrypt_group(ALICE, GROUP, &before).unwrap(), b"before");
        assert_eq!(bob.decrypt_group(ALICE, GROUP, &after).unwrap(), b"after");
        assert!(alice.sender_keys.needing(ALICE, GROUP, &BTreeSet::from([BOB])).is_empty());
    }
}
