//! How a call proves that it comes from this cluster: an HMAC over its head, with the digest of its body in it. So the secret
//! itself never travels, a signature is worth nothing for any other call, and no body is read before its caller is known.
//!
//! Replaying a whole call is worth nothing either: votes and entries of an old term are refused, and a report of an epoch that
//! is not the assigned one changes nothing. What could be read on the way is protected by TLS ([`crate::tls`]), or by the network.

use crate::wire::{NodeId, PROTOCOL};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// The header with [`PROTOCOL`].
pub const PROTOCOL_HEADER: &str = "warren-protocol";
/// The header with the cluster's id.
pub const CLUSTER_HEADER: &str = "warren-cluster";
/// The header with the number of the coordinator that calls; `0` for everybody else.
pub const SENDER_HEADER: &str = "warren-sender";
/// The header with the number of the coordinator that is called; `0` for any.
pub const TARGET_HEADER: &str = "warren-target";
/// The header with the SHA-256 of the body: 64 hex digits.
pub const DIGEST_HEADER: &str = "warren-digest";
/// The header with the signature: 64 hex digits.
pub const SIGNATURE_HEADER: &str = "warren-signature";

/// What is signed begins with this: a signature for one thing is none for another.
const PURPOSE: &[u8] = b"warren coordinator 1\n";

/// The cluster that a process belongs to, and its secret. Cheap to clone; its `Debug` shows no secret.
#[derive(Clone)]
pub struct Credential {
    cluster: Arc<str>,
    secret: Arc<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// The parts of a call that are signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The coordinator that calls; 0 for everybody else.
    pub sender: NodeId,
    /// The coordinator that is called; 0 for any.
    pub target: NodeId,
    /// The digest of the body, see [`digest`].
    pub digest: &'a str,
}

/// The SHA-256 of a body: 64 hex digits.
#[must_use]
pub fn digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

impl Credential {
    /// The credential of a cluster.
    #[must_use]
    pub fn new(cluster: &str, secret: &str) -> Self {
        Self { cluster: cluster.into(), secret: Arc::new(Zeroizing::new(secret.as_bytes().to_vec())) }
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The signature of a call of this cluster: 64 hex digits.
    #[must_use]
    pub fn sign(&self, call: Signed<'_>) -> String {
        self.mac(&self.cluster, call).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether a call that says it is of `cluster` is signed with this secret. Takes as long for any wrong signature.
    #[must_use]
    pub fn verify(&self, cluster: &str, call: Signed<'_>, signature: &[u8]) -> bool {
        let mut given = [0; 32];
        let is_hex = hex::decode_to_slice(signature, &mut given).is_ok();
        self.mac(cluster, call).is_some_and(|mac| mac.verify_slice(&given).is_ok() && is_hex)
    }

    fn mac(&self, cluster: &str, call: Signed<'_>) -> Option<Hmac<Sha256>> {
        // A key of any length is taken: never `None`.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(PURPOSE);
        // None of these can have a line break: they come from headers and a request line.
        for part in [cluster, call.method, call.path, call.digest] {
            mac.update(part.as_bytes());
            mac.update(b"\n");
        }
        for number in [u64::from(PROTOCOL), call.sender, call.target] {
            mac.update(&number.to_be_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Signed<'_> = Signed { method: "POST", path: "/v1/x", sender: 1, target: 2, digest: "00" };

    #[test]
    fn a_signature_is_for_one_call_of_one_cluster() {
        let credential = Credential::new("a", "0123456789abcdef0123456789abcdef");
        let signature = credential.sign(CALL);
        let holds = |cluster: &str, call: Signed<'_>| credential.verify(cluster, call, signature.as_bytes());
        assert!(holds("a", CALL));
        let others = [
            Signed { method: "GET", ..CALL },
            Signed { path: "/v1/y", ..CALL },
            Signed { sender: 3, ..CALL },
            Signed { target: 3, ..CALL },
            Signed { digest: "01", ..CALL },
        ];
        assert!(!others.into_iter().any(|other| holds("a", other)));
        assert!(!holds("b", CALL));
        assert!(!Credential::new("a", "another secret of thirty-two char").verify("a", CALL, signature.as_bytes()));
        let half = signature.get(..62).unwrap_or_default();
        for wrong in ["", "00", half, &"zz".repeat(32), &"00".repeat(32)] {
            assert!(!credential.verify("a", CALL, wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_one_of_sha_256() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", Credential::new("a", "very secret"));
        assert!(!shown.contains("secret\"") && shown.contains("\"a\""), "{shown}");
    }
}
