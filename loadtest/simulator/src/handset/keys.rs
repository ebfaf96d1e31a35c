//! A phone's key material: identity, one signed pre-key, one-time pre-keys made when somebody fetches a bundle.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyId,
    PreKeyRecord, PreKeyStore, PrivateKey, ProtocolAddress, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord,
    SignedPreKeyStore, Timestamp,
};

use crate::trust;

/// One-time keys handed out and not used yet; the oldest is forgotten when one more is handed out.
const ONE_TIME_LIMIT: usize = 512;
const SIGNED_ID: u32 = 1;

/// The keys of one phone, in the shape the Signal library asks for.
pub(crate) struct PhoneKeys {
    pub(crate) identity: Identity,
    pub(crate) signed: SignedKey,
    pub(crate) one_time: OneTimeKeys,
}

/// The identity side. A phone trusts every identity: it is a test partner, not a person.
pub(crate) struct Identity {
    pub(crate) pair: KeyPair,
    pub(crate) registration: u32,
}

/// The signed pre-key.
pub(crate) struct SignedKey {
    pub(crate) pair: KeyPair,
    pub(crate) signature: Vec<u8>,
}

/// One-time pre-keys handed out.
#[derive(Default)]
pub(crate) struct OneTimeKeys {
    keys: BTreeMap<u32, KeyPair>,
    last: u32,
}

/// The keys as they are kept; private keys in hex.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKeys {
    identity: String,
    registration: u32,
    signed: String,
    one_time: Vec<(u32, String)>,
    last_one_time: u32,
}

impl PhoneKeys {
    pub(crate) fn new(identity: KeyPair) -> Self {
        let registration = rand::rng().random_range(1..16_380);
        Self::with(identity, registration, trust::generate(), OneTimeKeys::default())
    }

    fn with(identity: KeyPair, registration: u32, signed: KeyPair, one_time: OneTimeKeys) -> Self {
        let signature = identity
            .calculate_signature(&signed.public_key.serialize(), &mut rand::rng())
            .map(|signature| signature.to_vec())
            .unwrap_or_default();
        Self { identity: Identity { pair: identity, registration }, signed: SignedKey { pair: signed, signature }, one_time }
    }

    pub(crate) fn signed_id(&self) -> u32 {
        SIGNED_ID
    }

    pub(crate) fn store(&self) -> StoredKeys {
        let private = |pair: &KeyPair| hex::encode(pair.private_key.serialize());
        StoredKeys {
            identity: private(&self.identity.pair),
            registration: self.identity.registration,
            signed: private(&self.signed.pair),
            one_time: self.one_time.keys.iter().map(|(id, pair)| (*id, private(pair))).collect(),
            last_one_time: self.one_time.last,
        }
    }
}

impl StoredKeys {
    pub(crate) fn restore(self) -> anyhow::Result<PhoneKeys> {
        let mut one_time = OneTimeKeys { keys: BTreeMap::new(), last: self.last_one_time };
        for (id, key) in &self.one_time {
            one_time.keys.insert(*id, pair_from_hex(key)?);
        }
        let signed = pair_from_hex(&self.signed)?;
        Ok(PhoneKeys::with(pair_from_hex(&self.identity)?, self.registration, signed, one_time))
    }
}

fn pair_from_hex(key: &str) -> anyhow::Result<KeyPair> {
    Ok(KeyPair::try_from(PrivateKey::deserialize(&hex::decode(key)?)?)?)
}

impl OneTimeKeys {
    /// Makes one and hands it out: its id and public half.
    pub(crate) fn issue(&mut self) -> (u32, [u8; 32]) {
        // Ids have three bytes on the wire; 0 is not used.
        self.last = self.last % 0x00FF_FFFE + 1;
        if self.keys.len() >= ONE_TIME_LIMIT {
            self.keys.pop_first();
        }
        let pair = trust::generate();
        let mut public = [0_u8; 32];
        public.copy_from_slice(pair.public_key.public_key_bytes());
        self.keys.insert(self.last, pair);
        (self.last, public)
    }

    pub(crate) fn spend(&mut self, id: u32) {
        self.keys.remove(&id);
    }
}

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(IdentityKeyPair::from(self.pair.clone()))
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration)
    }

    async fn save_identity(&mut self, _: &ProtocolAddress, _: &IdentityKey) -> Result<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(None)
    }
}

#[async_trait]
impl SignedPreKeyStore for SignedKey {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        if u32::from(id) != SIGNED_ID {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(SignedPreKeyRecord::new(id, Timestamp::from_epoch_millis(0), &self.pair, &self.signature))
    }

    async fn save_signed_pre_key(&mut self, _: SignedPreKeyId, _: &SignedPreKeyRecord) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl PreKeyStore for OneTimeKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let pair = self.keys.get(&u32::from(id)).ok_or(SignalProtocolError::InvalidPreKeyId)?;
        Ok(PreKeyRecord::new(id, pair))
    }

    async fn save_pre_key(&mut self, _: PreKeyId, _: &PreKeyRecord) -> Result<()> {
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.spend(u32::from(id));
        Ok(())
    }
}
