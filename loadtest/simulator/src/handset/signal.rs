//! Sessions of one phone, and the three things done with them. Everything is in memory, so the library's futures are
//! always ready at once.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    CiphertextMessage, DeviceId, IdentityKey, PreKeyBundle, PreKeySignalMessage, ProtocolAddress, PublicKey, SessionRecord,
    SessionStore, SignalMessage, SignalProtocolError, UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};

use super::{Encryption, Handset};
use crate::address::Address;
use crate::bundle::Bundle;

/// Sessions by the other side's address.
#[derive(Default)]
pub(crate) struct Sessions {
    records: HashMap<String, SessionRecord>,
}

impl Sessions {
    pub(crate) fn has(&self, with: Address) -> bool {
        self.records.contains_key(protocol_address(with).name())
    }

    pub(crate) fn forget(&mut self, with: Address) {
        self.records.remove(protocol_address(with).name());
    }

    /// Returns how many there were.
    pub(crate) fn forget_all(&mut self) -> usize {
        std::mem::take(&mut self.records).len()
    }

    pub(crate) fn store(&self) -> Vec<(String, Vec<u8>)> {
        self.records.iter().filter_map(|(name, record)| Some((name.clone(), record.serialize().ok()?))).collect()
    }

    pub(crate) fn restore(stored: Vec<(String, Vec<u8>)>) -> anyhow::Result<Self> {
        let mut records = HashMap::with_capacity(stored.len());
        for (name, bytes) in stored {
            records.insert(name, SessionRecord::deserialize(&bytes)?);
        }
        Ok(Self { records })
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.records.get(address.name()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.records.contains_key(address.name()))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.records.insert(address.name().to_owned(), record);
        Ok(())
    }
}

/// One name for both of a device's JIDs: a phone has one session with it, however it was addressed. The name is a
/// digest because the library writes it into its logs, where phone numbers do not belong.
fn protocol_address(of: Address) -> ProtocolAddress {
    let digest = Sha256::digest(of.phone.to_be_bytes());
    let short = digest.first_chunk::<8>().map(hex::encode).unwrap_or_default();
    ProtocolAddress::new(&format!("{short}:{}", of.device), DeviceId::new(0))
}

pub(super) fn not_ready() -> SignalProtocolError {
    SignalProtocolError::InvalidState("session store", "a store in memory was not ready".to_owned())
}

impl Handset {
    /// Decrypts one ciphertext of `from`.
    pub(super) fn decrypt(&mut self, from: Address, encryption: Encryption, bytes: &[u8]) -> Result<Vec<u8>> {
        let ciphertext = match encryption {
            Encryption::PreKey => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?),
            Encryption::Session => CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?),
            Encryption::SenderKey => {
                return Err(SignalProtocolError::InvalidState("decrypt", "a sender key is for groups".to_owned()));
            }
        };
        let address = protocol_address(from);
        let keys = &mut self.keys;
        let result = message_decrypt(
            &ciphertext,
            &address,
            &mut self.sessions,
            &mut keys.identity,
            &mut keys.one_time,
            &keys.signed,
            &mut rand::rng(),
            UsePQRatchet::No,
        )
        .now_or_never()
        .ok_or_else(not_ready)??;
        if let Some(spent) = result.consumed_prekey_id {
            keys.one_time.spend(u32::from(spent));
        }
        Ok(result.plaintext)
    }

    /// Starts a session with a device from its published bundle.
    pub(super) fn establish(&mut self, with: Address, bundle: &Bundle) -> Result<()> {
        let one_time = match &bundle.one_time {
            Some((id, key)) => Some(((*id).into(), PublicKey::from_djb_public_key_bytes(key)?)),
            None => None,
        };
        let bundle = PreKeyBundle::new(
            bundle.keys.registration,
            u32::from(with.device).into(),
            one_time,
            bundle.keys.signed_id.into(),
            PublicKey::from_djb_public_key_bytes(&bundle.keys.signed_key)?,
            bundle.keys.signature.clone(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&bundle.identity)?),
        )?;
        let address = protocol_address(with);
        process_prekey_bundle(
            &address,
            &mut self.sessions,
            &mut self.keys.identity,
            &bundle,
            &mut rand::rng(),
            UsePQRatchet::No,
        )
        .now_or_never()
        .ok_or_else(not_ready)??;
        Ok(())
    }

    /// Encrypts for a device there is a session with.
    pub(super) fn encrypt(&mut self, to: Address, padded: &[u8]) -> Result<(Encryption, Vec<u8>)> {
        let address = protocol_address(to);
        let message = message_encrypt(padded, &address, &mut self.sessions, &mut self.keys.identity)
            .now_or_never()
            .ok_or_else(not_ready)??;
        let encryption = match &message {
            CiphertextMessage::PreKeySignalMessage(_) => Encryption::PreKey,
            _ => Encryption::Session,
        };
        Ok((encryption, message.serialize().to_vec()))
    }
}
