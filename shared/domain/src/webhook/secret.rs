//! What posts are signed with: `whsec_` and base64, unique to a webhook, two of them for a day while one is replaced.

use crate::Timestamp;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";
/// How many bytes a secret has, as Standard Webhooks says.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The version of the signature: HMAC-SHA-256.
const VERSION: &str = "v1";

/// A secret of a webhook. It shows itself to nobody but [`Secret::reveal`], and is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: Zeroizing<String>,
    key: Zeroizing<Vec<u8>>,
}

/// The text is no secret that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is written as whsec_ and the base64 of 24 to 64 random bytes")]
pub struct NoSecret;

impl Secret {
    /// A fresh one of 32 random bytes from the operating system's generator.
    #[must_use]
    pub fn generate() -> Self {
        let key = Zeroizing::new(rand::random::<[u8; 32]>().to_vec());
        Self { text: Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(&*key))), key }
    }

    /// Reads one as it is written.
    ///
    /// # Errors
    /// [`NoSecret`]; the input is never repeated in it.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoSecret)?;
        let key = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| NoSecret)?);
        let is_one_byte = key.windows(2).all(|pair| matches!(pair, [one, other] if one == other));
        if !BYTES.contains(&key.len()) || is_one_byte {
            return Err(NoSecret);
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), key })
    }

    /// One that is any text, as the seed has it: its bytes are the key.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self { text: Zeroizing::new(text.to_owned()), key: Zeroizing::new(text.as_bytes().to_vec()) }
    }

    /// A fresh one as the seed makes it: 32 random bytes in hex, which are the key as they are written.
    #[must_use]
    pub fn generate_text() -> Self {
        Self::of_text(&Zeroizing::new(hex::encode(rand::random::<[u8; 32]>())))
    }

    /// The text itself: to show it once, to store it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// `v1,` and the base64 of the HMAC-SHA-256 of `id.seconds.body`.
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
        // A key of any length is taken: never `None`.
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        let mac = mac.chain_update(format!("{id}.{seconds}.")).chain_update(body);
        Some(format!("{VERSION},{}", STANDARD.encode(mac.finalize().into_bytes())))
    }

    /// The HMAC-SHA-256 of a body, in hex: the seed's signature.
    #[must_use]
    pub fn hex_signature(&self, body: &[u8]) -> String {
        // A key of any length is taken.
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).map(|mac| mac.chain_update(body));
        mac.map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// It.
    pub secret: Secret,
    /// Until when posts are signed with it, too.
    pub until: Timestamp,
}

/// The live secrets of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The one that counts.
    pub current: Secret,
    /// The one before it, for a time.
    pub former: Option<Former>,
}

impl Secrets {
    /// One secret.
    #[must_use]
    pub const fn new(current: Secret) -> Self {
        Self { current, former: None }
    }

    /// The header `webhook-signature` of a body that is posted at a moment: a signature by each live secret, with a space
    /// between them.
    #[must_use]
    pub fn signature(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let seconds = at.as_seconds();
        let former = self.former.as_ref().filter(|former| at < former.until).map(|former| &former.secret);
        let signatures = [Some(&self.current), former].into_iter().flatten();
        signatures.filter_map(|secret| secret.sign(id, seconds, body)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn secret(bytes: usize) -> String {
        let key: Vec<u8> = (0_u8..).take(bytes).collect();
        format!("whsec_{}", STANDARD.encode(key))
    }

    #[test]
    fn a_secret_has_24_bytes_at_least() {
        for bytes in [24, 32, 64] {
            assert_eq!(Secret::parse(&secret(bytes)).unwrap().reveal(), secret(bytes));
        }
        let five = secret(5);
        for text in
            ["", "secret", "whsec_", "whsec_secret", &five, &secret(23), &secret(65), "whsec_!!", &STANDARD.encode([7; 32])]
        {
            assert_eq!(Secret::parse(text), Err(NoSecret), "{text}");
        }
        assert_eq!(Secret::parse(&format!("whsec_{}", STANDARD.encode([0; 32]))), Err(NoSecret));
        let made = Secret::generate();
        assert_eq!(Secret::parse(made.reveal()), Ok(made.clone()));
        assert!(!format!("{made:?}").contains(made.reveal()));
    }

    /// The example of the specification.
    #[test]
    fn signs_as_the_specification_says() {
        let secrets = Secrets::new(Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signed = secrets.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp::from_millis(1_614_265_330_999),
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// The second example of RFC 4231.
    #[test]
    fn the_seeds_signature_is_over_the_body_alone() {
        let signed = Secret::of_text("Jefe").hex_signature(b"what do ya want for nothing?");
        assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let made = Secret::generate_text();
        assert!(made.reveal().len() == 64 && made == Secret::of_text(made.reveal()));
    }

    #[test]
    fn two_secrets_sign_while_one_is_replaced() {
        let (old, new) = (Secret::generate(), Secret::generate());
        let until = Timestamp::from_millis(10_000);
        let secrets = Secrets { current: new.clone(), former: Some(Former { secret: old.clone(), until }) };
        let sign = |secrets: &Secrets, millis| secrets.signature("evt_1", Timestamp::from_millis(millis), b"{}");
        let both = sign(&secrets, 9_999);
        let alone = |secret: &Secret| sign(&Secrets::new(secret.clone()), 9_999);
        assert_eq!(both, format!("{} {}", alone(&new), alone(&old)));
        assert_eq!(sign(&secrets, 10_000), sign(&Secrets::new(new), 10_000));
    }

    #[test]
    fn the_crate_of_the_specification_agrees() {
        let made = Secret::generate();
        let theirs = standardwebhooks::Webhook::new(made.reveal()).unwrap();
        let ours = Secrets::new(made).signature("evt_1", Timestamp::from_millis(1_700_000_000_123), "{\"ü\":1}".as_bytes());
        assert_eq!(ours, theirs.sign("evt_1", 1_700_000_000, "{\"ü\":1}".as_bytes()).unwrap());
    }
}
