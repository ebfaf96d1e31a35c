//! The server's side of the Noise handshake: XX, IK, and XXfallback when a client pinned another static key.
//!
//! Pure state, no I/O. The message layout and token order mirror `wacore-noise`'s initiator (`handshake.rs`); the
//! prologue is the four header bytes `WA` 6 3, without any edge-routing preface.

use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{HandshakeError, NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};

use crate::trust::{self, Keys};

/// Why a handshake was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the handshake message is malformed")]
    Malformed,
    #[error("the handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
}

/// A finished handshake.
pub(crate) struct Established {
    /// Decrypts what the client sends.
    pub(crate) read: NoiseCipher,
    /// Encrypts what the client gets.
    pub(crate) write: NoiseCipher,
    /// The client's Noise static key, proven by the handshake.
    pub(crate) client_static: [u8; 32],
    /// The key it made for this handshake, if all it said may have been recorded from another (IK).
    pub(crate) client_ephemeral: Option<[u8; 32]>,
    /// The encoded `ClientPayload`.
    pub(crate) payload: Vec<u8>,
}

/// What follows a client hello.
pub(crate) enum Step {
    /// IK: done in one round trip.
    Done { reply: Vec<u8>, established: Box<Established> },
    /// XX or XXfallback: the client's finish is still to come.
    AwaitFinish { reply: Vec<u8>, pending: Box<Pending> },
}

/// An XX handshake between server hello and client finish.
pub(crate) struct Pending {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Answers the first frame of a connection.
pub(crate) fn answer_hello(keys: &Keys, frame: &[u8]) -> Result<Step, Error> {
    let hello = HandshakeMessage::decode_from_slice(frame)
        .ok()
        .and_then(|message| message.client_hello.into_option())
        .ok_or(Error::Malformed)?;
    let client_ephemeral = key32(hello.ephemeral.as_deref())?;
    if hello.r#static.is_none() {
        return xx(keys, NOISE_PATTERN_XX, &client_ephemeral);
    }
    match ik(keys, &client_ephemeral, &hello) {
        Ok(done) => Ok(done),
        // The client pinned a static key that is not ours: ask it to start over with the ephemeral it already sent.
        Err(Error::Handshake(_)) => xx(keys, NOISE_PATTERN_XXFALLBACK, &client_ephemeral),
        Err(malformed) => Err(malformed),
    }
}

fn xx(keys: &Keys, pattern: &str, client_ephemeral: &[u8; 32]) -> Result<Step, Error> {
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    let ephemeral = trust::generate();
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let static_sealed = noise.encrypt(keys.static_key.public_key.public_key_bytes())?;
    noise.mix_shared_secret(keys.static_key.private_key.serialize(), client_ephemeral)?;
    let chain_sealed = noise.encrypt(&keys.cert_chain)?;
    let reply = server_hello(&ephemeral, Some(static_sealed), chain_sealed);
    Ok(Step::AwaitFinish { reply, pending: Box::new(Pending { noise, ephemeral }) })
}

fn ik(keys: &Keys, client_ephemeral: &[u8; 32], hello: &ClientHello) -> Result<Step, Error> {
    let static_sealed = hello.r#static.as_deref().ok_or(Error::Malformed)?;
    let payload_sealed = hello.payload.as_deref().ok_or(Error::Malformed)?;
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(keys.static_key.public_key.public_key_bytes());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(keys.static_key.private_key.serialize(), client_ephemeral)?;
    let client_static = key32(Some(&noise.decrypt(static_sealed)?))?;
    noise.mix_shared_secret(keys.static_key.private_key.serialize(), &client_static)?;
    let payload = noise.decrypt(payload_sealed)?;

    let ephemeral = trust::generate();
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let chain_sealed = noise.encrypt(&keys.cert_chain)?;
    let reply = server_hello(&ephemeral, None, chain_sealed);
    Ok(Step::Done { reply, established: Box::new(established(noise, client_static, Some(*client_ephemeral), payload)?) })
}

impl Pending {
    /// Reads the client finish of an XX handshake.
    pub(crate) fn finish(mut self, frame: &[u8]) -> Result<Established, Error> {
        let finish = HandshakeMessage::decode_from_slice(frame)
            .ok()
            .and_then(|message| message.client_finish.into_option())
            .ok_or(Error::Malformed)?;
        let static_sealed = finish.r#static.as_deref().ok_or(Error::Malformed)?;
        let client_static = key32(Some(&self.noise.decrypt(static_sealed)?))?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(finish.payload.as_deref().ok_or(Error::Malformed)?)?;
        // Only who has the key to this server's ephemeral one could say this.
        established(self.noise, client_static, None, payload)
    }
}

/// `finish` names the ciphers from the initiator's side; ours are the other way round.
fn established(
    noise: NoiseHandshake,
    client_static: [u8; 32],
    client_ephemeral: Option<[u8; 32]>,
    payload: Vec<u8>,
) -> Result<Established, Error> {
    let (client_writes, client_reads) = noise.finish()?;
    Ok(Established { read: client_writes, write: client_reads, client_static, client_ephemeral, payload })
}

fn server_hello(ephemeral: &KeyPair, static_sealed: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
            r#static: static_sealed,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn key32(bytes: Option<&[u8]>) -> Result<[u8; 32], Error> {
    bytes.and_then(|key| key.try_into().ok()).ok_or(Error::Malformed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use wacore_noise::{IkHandshakeState, IkServerHelloOutcome, XxHandshakeState};

    fn round_trip(client_write: &NoiseCipher, server: &Established) {
        let sealed = client_write.encrypt_with_counter(0, b"node").unwrap();
        let mut opened = sealed;
        server.read.decrypt_in_place_with_counter(0, &mut opened).unwrap();
        assert_eq!(opened, b"node");
    }

    #[test]
    fn ik_agrees_on_keys_and_carries_the_payload() {
        let keys = Keys::load_or_create(None, &[]).unwrap();
        let mut client =
            IkHandshakeState::new(trust::generate(), keys.trust.static_public_key, b"login".to_vec(), &WA_CONN_HEADER)
                .unwrap();
        let hello = client.build_client_hello().unwrap();
        let Step::Done { reply, established } = answer_hello(&keys, &hello).unwrap() else {
            panic!("IK must finish at once");
        };
        let IkServerHelloOutcome::Continue(outcome) = client.read_server_hello(&reply).unwrap() else {
            panic!("IK was not accepted");
        };
        assert_eq!(established.payload, b"login");
        round_trip(&outcome.write_cipher, &established);
    }

    #[test]
    fn ik_with_a_foreign_key_falls_back() {
        let keys = Keys::load_or_create(None, &[]).unwrap();
        let foreign: [u8; 32] = trust::generate().public_key.public_key_bytes().try_into().unwrap();
        let mut client = IkHandshakeState::new(trust::generate(), foreign, Vec::new(), &WA_CONN_HEADER).unwrap();
        let hello = client.build_client_hello().unwrap();
        let Step::AwaitFinish { reply, .. } = answer_hello(&keys, &hello).unwrap() else {
            panic!("a foreign key must lead to XXfallback");
        };
        assert!(matches!(client.read_server_hello(&reply).unwrap(), IkServerHelloOutcome::Fallback(_)));
    }

    /// The initiator of the library insists on WhatsApp's own root, so a stranger's root must be refused by it.
    #[test]
    fn xx_is_refused_by_a_client_that_trusts_whatsapp_alone() {
        let keys = Keys::load_or_create(None, &[]).unwrap();
        let mut client = XxHandshakeState::new(trust::generate(), Vec::new(), &WA_CONN_HEADER).unwrap();
        let hello = client.build_client_hello().unwrap();
        let Step::AwaitFinish { reply, .. } = answer_hello(&keys, &hello).unwrap() else {
            panic!("XX takes a finish");
        };
        let refused = client.read_server_hello_and_build_client_finish(&reply).unwrap_err();
        assert!(refused.to_string().contains("intermediate signature"), "{refused}");
    }

    #[test]
    fn garbage_is_malformed() {
        let keys = Keys::load_or_create(None, &[]).unwrap();
        assert!(matches!(answer_hello(&keys, b"\xff\xff\xff"), Err(Error::Malformed)));
        assert!(matches!(answer_hello(&keys, b""), Err(Error::Malformed)));
    }
}
