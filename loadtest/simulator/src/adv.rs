//! The phone's signatures over its companions (ADV): on the companion's identity when it is linked, and on the list of
//! valid key indexes that goes with every device list.
//!
//! Prefixes as in `wacore::pair` and `wacore::adv`: 6 0 account over device, 6 1 device over account, 6 2 key list.

use wacore_libsignal::crypto::hmac_sha256;
use wacore_libsignal::protocol::{CurveError, KeyPair};
use waproto::buffa::Message as _;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVKeyIndexList, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC,
    ADVSignedKeyIndexList,
};

const ACCOUNT_OVER_DEVICE: &[u8] = &[6, 0];
const ACCOUNT_OVER_LIST: &[u8] = &[6, 2];

/// The `<device-identity>` of a pair-success: the account's signature over the companion, sealed with the secret that
/// only the QR code carries.
pub(crate) fn pairing_identity(
    account: &KeyPair,
    raw_id: u32,
    key_index: u32,
    timestamp: u64,
    companion: &[u8; 32],
    adv_secret: &[u8],
) -> Result<Vec<u8>, CurveError> {
    let details = ADVDeviceIdentity {
        raw_id: Some(raw_id),
        timestamp: Some(timestamp),
        key_index: Some(key_index),
        account_type: Some(ADVEncryptionType::E2EE),
        device_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let signed = [ACCOUNT_OVER_DEVICE, &details, companion].concat();
    let signature = account.calculate_signature(&signed, &mut rand::rng())?;
    let identity = ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(account.public_key.public_key_bytes().to_vec()),
        account_signature: Some(signature.to_vec()),
        device_signature: None,
    }
    .encode_to_vec();
    let hmac = hmac_sha256(adv_secret, &identity).to_vec();
    Ok(ADVSignedDeviceIdentityHMAC {
        details: Some(identity),
        hmac: Some(hmac),
        account_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec())
}

/// The `<key-index-list>` of a device list.
pub(crate) fn key_index_list(
    account: &KeyPair,
    raw_id: u32,
    timestamp: u64,
    current_index: u32,
    valid_indexes: Vec<u32>,
) -> Result<Vec<u8>, CurveError> {
    let details = ADVKeyIndexList {
        raw_id: Some(raw_id),
        timestamp: Some(timestamp),
        current_index: Some(current_index),
        valid_indexes,
        account_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let signature = account.calculate_signature(&[ACCOUNT_OVER_LIST, &details].concat(), &mut rand::rng())?;
    Ok(ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature.to_vec()),
        account_signature_key: Some(account.public_key.public_key_bytes().to_vec()),
    }
    .encode_to_vec())
}
