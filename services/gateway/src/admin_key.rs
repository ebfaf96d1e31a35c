//! The key of the deployment's operator.

use base64::Engine as _;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};
use subtle::ConstantTimeEq;

/// Less than this can be guessed in the long run.
const BITS: f64 = 128.0;
/// Parts of texts that examples ship with and that people forget to change.
const FAMILIAR: [&str; 10] = [
    "changeme",
    "change-me",
    "change_me",
    "replaceme",
    "replace-me",
    "replace_me",
    "password",
    "example",
    "your-",
    "123456789",
];

/// The admin key, kept as its SHA-256 and compared in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    hash: [u8; 32],
}

/// Why a text is no admin key. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakAdminKey {
    /// Something that cannot stand in a header.
    #[error("the admin key must consist of visible ASCII characters without spaces")]
    Form,
    /// It can be guessed.
    #[error("the admin key is too weak: take at least 32 random hex digits, or 22 random letters and digits")]
    Weak,
    /// It is a known default.
    #[error("the admin key is a well-known default: make one of your own")]
    Default,
}

impl AdminKey {
    /// Takes a text for the admin key.
    ///
    /// # Errors
    /// Refuses what holds less than 128 bits if every character were random, what repeats few characters, and defaults.
    pub fn new(text: &str) -> Result<Self, WeakAdminKey> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WeakAdminKey::Form);
        }
        let lower = text.to_ascii_lowercase();
        if FAMILIAR.iter().any(|part| lower.contains(part)) {
            return Err(WeakAdminKey::Default);
        }
        if is_weak(text) {
            return Err(WeakAdminKey::Weak);
        }
        Ok(Self::from_hash(Sha256::digest(text.as_bytes()).into()))
    }

    /// A fresh key of 32 random bytes, and its text to be shown once.
    #[must_use]
    pub fn generate() -> (Self, String) {
        let secret: [u8; 32] = rand::random();
        let text = format!("wrn_admin_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret));
        (Self::from_hash(Sha256::digest(text.as_bytes()).into()), text)
    }

    /// The key whose text has this SHA-256; for a key that was generated here and stored hashed.
    #[must_use]
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self { hash }
    }

    /// SHA-256 of the text, to store it.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Whether a presented text with this hash is the key. Takes the same time for every hash.
    pub(crate) fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(..)")
    }
}

fn is_weak(text: &str) -> bool {
    let distinct: BTreeSet<u8> = text.bytes().collect();
    if distinct.len() < 8 {
        return true;
    }
    let alphabet: u32 = if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        16
    } else {
        let size_if = |has: fn(&u8) -> bool, size| if text.as_bytes().iter().any(has) { size } else { 0 };
        size_if(u8::is_ascii_digit, 10)
            + size_if(u8::is_ascii_lowercase, 26)
            + size_if(u8::is_ascii_uppercase, 26)
            + size_if(u8::is_ascii_punctuation, 32)
    };
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    f64::from(length) * f64::from(alphabet).log2() < BITS
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn takes_strong_keys_and_knows_them_again() {
        let (key, text) = AdminKey::generate();
        assert_eq!(AdminKey::new(&text).unwrap(), key);
        assert!(key.matches(&Sha256::digest(text.as_bytes()).into()));
        assert!(!key.matches(&[0; 32]));
        assert!(AdminKey::new("0f3a9c1e5b7d2846af0e1c9b3d5f7a86").is_ok());
        assert!(AdminKey::new("Kc7Xw2Lp9Rt4Zm6Qb8Ns1VyD").is_ok());
    }

    #[test]
    fn refuses_weak_ones() {
        let weak =
            ["admin", "admin:admin", "0f3a9c1e5b7d2846af0e1c9b3d5f7a8", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
        for text in weak {
            assert_eq!(AdminKey::new(text), Err(WeakAdminKey::Weak), "{text}");
        }
        for text in ["please-ChangeMe-0f3a9c1e5b7d2846af0e1c9b3d5f7a86", "MyPasswordIsVeryLongAndHasDigits0042"] {
            assert_eq!(AdminKey::new(text), Err(WeakAdminKey::Default), "{text}");
        }
        for text in ["", "two words that are long enough to be a key", "größenwahn0f3a9c1e5b7d2846af0e1c9b3d5f7a86"] {
            assert_eq!(AdminKey::new(text), Err(WeakAdminKey::Form), "{text}");
        }
    }

    #[test]
    fn does_not_print_itself() {
        assert_eq!(format!("{:?}", AdminKey::generate().0), "AdminKey(..)");
    }
}
