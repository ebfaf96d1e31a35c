//! Sealing at rest: one master key a deployment, one data key an instance, AES-256-GCM.
//!
//! Every sealed record is bound to its tenant, instance, kind and key (the associated data), so that a row that is moved
//! to another place does not open there.

use aes_gcm::{
    Aes256Gcm, Key, KeyInit,
    aead::{Aead, Payload},
};
use warren_domain::{Error, InstanceId, Result, TenantId};
use warren_ports::ledger::RecordKind;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const CHECK: &[u8] = b"warren sealing check";

/// The deployment's key. Wraps the data keys; comes from a file or the environment, never from the store.
#[derive(Clone)]
pub struct MasterKey(Aes256Gcm);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*bytes)))
    }

    /// A sealed constant: stored at the first start, so that a later start with another key is refused.
    ///
    /// # Errors
    /// `Internal` if the cipher fails, which it does not.
    pub fn seal_check(&self) -> Result<Vec<u8>> {
        seal(&self.0, CHECK, CHECK)
    }

    /// Whether a check was sealed with this key.
    #[must_use]
    pub fn opens_check(&self, sealed: &[u8]) -> bool {
        open(&self.0, CHECK, sealed).is_ok_and(|plain| plain == CHECK)
    }

    /// A fresh data key and its wrapped form, bound to the instance.
    pub(crate) fn new_data_key(&self, tenant: TenantId, instance: InstanceId) -> Result<(DataKey, Vec<u8>)> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        let wrapped = seal(&self.0, &associated(tenant, instance, RecordKind::DataKey, b""), bytes.as_slice())?;
        Ok((DataKey::new(tenant, instance, &bytes), wrapped))
    }

    /// The data key in a wrapped form.
    pub(crate) fn unwrap_data_key(&self, tenant: TenantId, instance: InstanceId, wrapped: &[u8]) -> Result<DataKey> {
        let plain = open(&self.0, &associated(tenant, instance, RecordKind::DataKey, b""), wrapped)?;
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(plain.try_into().map_err(|_| Error::internal("a data key has the wrong length"))?);
        Ok(DataKey::new(tenant, instance, &bytes))
    }
}

/// One instance's key. Seals its session state.
pub(crate) struct DataKey {
    cipher: Aes256Gcm,
    tenant: TenantId,
    instance: InstanceId,
}

impl DataKey {
    fn new(tenant: TenantId, instance: InstanceId, bytes: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*bytes)), tenant, instance }
    }

    /// Seals a record's value.
    pub(crate) fn seal(&self, kind: RecordKind, key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        seal(&self.cipher, &associated(self.tenant, self.instance, kind, key), value)
    }

    /// Seals what is kept elsewhere than among the records.
    pub(crate) fn seal_elsewhere(&self, place: Elsewhere, key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        seal(&self.cipher, &bound(self.tenant, self.instance, place as u8, key), value)
    }

    /// Opens it.
    pub(crate) fn open_elsewhere(&self, place: Elsewhere, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        open(&self.cipher, &bound(self.tenant, self.instance, place as u8, key), sealed)
    }

    /// Opens a record's value.
    pub(crate) fn open(&self, kind: RecordKind, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        open(&self.cipher, &associated(self.tenant, self.instance, kind, key), sealed)
    }
}

/// Where something sealed stands that is no record. The numbers are stored: never renumber; records have the small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Elsewhere {
    /// In the row of a received file: what is needed to fetch it. Its key is the file's id.
    MediaSource = 128,
    /// In the row of an outbound message: what its file became at WhatsApp. Its key is the message's id.
    Upload = 129,
}

fn associated(tenant: TenantId, instance: InstanceId, kind: RecordKind, key: &[u8]) -> Vec<u8> {
    bound(tenant, instance, kind as u8, key)
}

fn bound(tenant: TenantId, instance: InstanceId, kind: u8, key: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(34 + key.len());
    data.extend_from_slice(tenant.as_bytes());
    data.extend_from_slice(instance.as_bytes());
    data.push(kind);
    data.push(VERSION);
    data.extend_from_slice(key);
    data
}

fn seal(cipher: &Aes256Gcm, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let sealed = cipher
        .encrypt(&nonce.into(), Payload { msg: plain, aad: associated })
        .map_err(|_| Error::internal("sealing failed"))?;
    let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(out)
}

fn open(cipher: &Aes256Gcm, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
    let refused = || Error::internal("a sealed record does not open: wrong key, or it was moved or changed");
    let (version, rest) = sealed.split_first().ok_or_else(refused)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(refused)?;
    if *version != VERSION {
        return Err(refused());
    }
    cipher.decrypt(&(*nonce).into(), Payload { msg: body, aad: associated }).map_err(|_| refused())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_in_its_own_place() {
        let master = MasterKey::from_bytes([7; 32]);
        let (tenant, instance) = (TenantId::generate(), InstanceId::generate());
        let (key, wrapped) = master.new_data_key(tenant, instance).unwrap();
        let sealed = key.seal(RecordKind::Session, b"a", b"secret").unwrap();

        let again = master.unwrap_data_key(tenant, instance, &wrapped).unwrap();
        assert_eq!(again.open(RecordKind::Session, b"a", &sealed).unwrap(), b"secret");
        assert!(again.open(RecordKind::Session, b"b", &sealed).is_err());
        assert!(again.open(RecordKind::Identity, b"a", &sealed).is_err());
        assert!(master.unwrap_data_key(tenant, InstanceId::generate(), &wrapped).is_err());

        let sealed = key.seal_elsewhere(Elsewhere::Upload, b"a", b"secret").unwrap();
        assert_eq!(again.open_elsewhere(Elsewhere::Upload, b"a", &sealed).unwrap(), b"secret");
        assert!(again.open_elsewhere(Elsewhere::MediaSource, b"a", &sealed).is_err());
        assert!(again.open_elsewhere(Elsewhere::Upload, b"b", &sealed).is_err());
    }

    #[test]
    fn the_check_tells_another_key() {
        let check = MasterKey::from_bytes([1; 32]).seal_check().unwrap();
        assert!(MasterKey::from_bytes([1; 32]).opens_check(&check));
        assert!(!MasterKey::from_bytes([2; 32]).opens_check(&check));
    }
}
