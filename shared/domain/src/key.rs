//! API keys: `wrn_<8 characters of id>_<32 random bytes, base62>`, shown once, stored as SHA-256.

use crate::{KeyId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 > 2^256: 43 digits always hold 32 bytes.
const SECRET_DIGITS: usize = 43;
const ID_DIGITS: usize = 8;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything of the tenant.
    Read,
    /// Read, send, pair and change everything of the tenant.
    Write,
}

/// A stored key: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, for listing and revoking.
    pub id: KeyId,
    /// Whose key it is.
    pub tenant: TenantId,
    /// The 8 characters after `wrn_`, by which it is found.
    pub prefix: String,
    /// SHA-256 of the whole key text.
    pub hash: [u8; 32],
    /// A name for people.
    pub name: String,
    /// What it may do; never empty.
    pub scopes: Vec<Scope>,
    /// After this moment it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From this moment on it is refused.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether the key is accepted at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A key in the clear: exists between its making and its being shown, and while a request is authenticated.
pub struct Secret(String);

impl Secret {
    /// A fresh key of 32 random bytes from the operating system's generator.
    #[must_use]
    pub fn generate() -> Self {
        let id: [u8; 8] = rand::random();
        let secret: [u8; 32] = rand::random();
        Self(format!("wrn_{}_{}", base62(&id, ID_DIGITS), base62(&secret, SECRET_DIGITS)))
    }

    /// Takes a text for a key if it has a key's form; says nothing about whether such a key exists.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("wrn_")?.split_once('_')?;
        let well_formed = id.len() == ID_DIGITS
            && secret.len() == SECRET_DIGITS
            && id.bytes().chain(secret.bytes()).all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The 8 characters by which the stored key is found.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.get(4..4 + ID_DIGITS).unwrap_or_default()
    }

    /// SHA-256 of the whole text: 256 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The text itself, to show it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The last `digits` base-62 digits of a big-endian number.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = Vec::with_capacity(digits);
    for _ in 0..digits {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            // value / 62 <= 61 * 256 + 255 / 62 < 256, as remainder < 62.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        text.push(BASE62.get(remainder as usize).copied().unwrap_or(b'0') as char);
    }
    text.iter().rev().collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn has_the_documented_form() {
        let key = Secret::generate();
        let parts: Vec<_> = key.reveal().split('_').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("wrn", 8, 43));
        let again = Secret::parse(key.reveal()).unwrap();
        assert_eq!((again.prefix(), again.hash()), (key.prefix(), key.hash()));
    }

    #[test]
    fn base62_is_positional() {
        assert_eq!(base62(&[0], 2), "00");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[62], 2), "10");
        assert_eq!(base62(&[1, 0], 2), "48");
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in ["", "wrn_", "wrn_abc_def", "Bearer x", &format!("wrn_{}_{}", "a".repeat(8), "é".repeat(43))] {
            assert!(Secret::parse(text).is_none(), "{text}");
        }
    }
}
