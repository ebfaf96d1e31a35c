//! Session state: what the WhatsApp client library keeps, one record a thing, sealed before it comes here.

use async_trait::async_trait;
use warren_domain::{InstanceId, Result};

/// What a record is. The numbers are stored: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// The instance's data key, wrapped by the deployment's key. Everything below is sealed with it.
    DataKey = 0,
    /// The device: identity, noise and ADV keys, account, trust.
    Device = 1,
    /// Identity key of an address.
    Identity = 2,
    /// Signal session of an address.
    Session = 3,
    /// One-time pre-key. `mark` is 1 once uploaded.
    PreKey = 4,
    /// Signed pre-key.
    SignedPreKey = 5,
    /// Sender key of a group and address.
    SenderKey = 6,
    /// Which devices of a group have our sender key.
    SenderKeyDevice = 7,
    /// App state key. `mark` is its timestamp.
    SyncKey = 8,
    /// App state version of a collection.
    AppVersion = 9,
    /// App state MAC of a mutation.
    MutationMac = 10,
    /// LID mapping by LID.
    LidMapping = 11,
    /// LID of a phone number.
    PhoneMapping = 12,
    /// Base key of a message, to see a repeated session.
    BaseKey = 13,
    /// Device list of a user.
    Devices = 14,
    /// Group metadata.
    Group = 15,
    /// Trusted-contact token. `mark` is its timestamp.
    TcToken = 16,
    /// Plaintext of a message that is not in the message table (sent by the library itself). `mark` is when.
    SentMessage = 17,
    /// A decrypted message that is not committed yet. `mark` is when. Written without waiting for the disk.
    PendingInbound = 18,
    /// Message secret. `mark` is when it expires, 0 never.
    MessageSecret = 19,
}

/// One record of session state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// Which one: unique per instance and kind.
    pub key: Vec<u8>,
    /// Its sealed bytes.
    pub value: Vec<u8>,
    /// A number by kind, kept in the clear so that records can be found and expired by it.
    pub mark: i64,
}

/// Reading session state. Written through [`super::Committer`] only. A read sees every write whose outcome was returned
/// before it.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// The records with these keys; absent ones are left out, order is free.
    async fn records(&self, instance: InstanceId, kind: RecordKind, keys: &[Vec<u8>]) -> Result<Vec<Record>>;
    /// All records of a kind whose key starts with `prefix`, by key.
    async fn records_with_prefix(&self, instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> Result<Vec<Record>>;
    /// The record of a kind with the largest `mark` (`by_mark`) or the largest key.
    async fn last_record(&self, instance: InstanceId, kind: RecordKind, by_mark: bool) -> Result<Option<Record>>;
    /// One kind's records of many instances at once: what a new owner loads.
    async fn records_of(&self, instances: &[InstanceId], kind: RecordKind) -> Result<Vec<(InstanceId, Record)>>;
}

/// The first key behind all that start with `prefix`; `None` if there is no end.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_of_its_length_or_shorter() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(&[]), None);
    }
}
