//! What signs links to files.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use warren_domain::{MediaId, TenantId};

/// What is signed begins with this: a signature for one thing is none for another.
const PURPOSE: &[u8] = b"warren media link 1\0";

/// The key that signs links to files: the same in every gateway, kept where the ledger is.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

impl LinkKey {
    /// A key of these random bytes.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The signature of a link to a tenant's file until a moment (seconds since 1970): 64 hex digits.
    pub(super) fn sign(&self, tenant: TenantId, media: MediaId, expires: i64) -> Option<String> {
        Some(hex::encode(self.mac(tenant, media, expires)?.finalize().into_bytes()))
    }

    /// Whether a signature is right. Takes as long for any wrong one.
    pub(super) fn verify(&self, tenant: TenantId, media: MediaId, expires: i64, signature: &str) -> bool {
        let mut given = [0; 32];
        let is_hex = hex::decode_to_slice(signature, &mut given).is_ok();
        let Some(mac) = self.mac(tenant, media, expires) else { return false };
        mac.verify_slice(&given).is_ok() && is_hex
    }

    fn mac(&self, tenant: TenantId, media: MediaId, expires: i64) -> Option<Hmac<Sha256>> {
        // A key of any length is taken: never `None`.
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        Some(
            mac.chain_update(PURPOSE)
                .chain_update(tenant.as_bytes())
                .chain_update(media.as_bytes())
                .chain_update(expires.to_be_bytes()),
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_file_of_one_tenant_and_one_moment() {
        let (key, tenant, media) = (LinkKey::new([7; 32]), TenantId::generate(), MediaId::generate());
        let signature = key.sign(tenant, media, 1_000).unwrap();
        assert!(key.verify(tenant, media, 1_000, &signature));
        assert!(!key.verify(tenant, media, 1_001, &signature));
        assert!(!key.verify(tenant, MediaId::generate(), 1_000, &signature));
        assert!(!key.verify(TenantId::generate(), media, 1_000, &signature));
        assert!(!LinkKey::new([8; 32]).verify(tenant, media, 1_000, &signature));
        for wrong in ["", "00", &signature[..62], &"zz".repeat(32), &"00".repeat(32)] {
            assert!(!key.verify(tenant, media, 1_000, wrong));
        }
    }
}
