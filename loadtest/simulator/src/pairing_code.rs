//! Linking by code: the companion shows eight characters, somebody types them on the phone, and both prove to each other
//! that they know them. What follows is the pair-success of a scan.
//!
//! Stages as in `wacore::pair_code`: `companion_hello` (the companion's ephemeral key, encrypted with the code),
//! `primary_hello` (the phone's, likewise), `companion_finish` (its identity and a random value, encrypted with the
//! shared secret). A phone with a wrong code gets another secret and cannot open the last one. It tells its user; the
//! companion hears nothing of it.

use std::sync::Arc;

use rand::Rng as _;
use tokio::sync::oneshot;
use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::{PairCodeRejection, PairCodeUtils};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef, SERVER_JID};
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use crate::account::Account;
use crate::address::parse_phone;
use crate::link::Link;
use crate::pairing::{Error, QrCode, Scan};
use crate::world::World;
use crate::{stanza, trouble, trust};

const REG: &str = "link_code_companion_reg";
const REF: &str = "link_code_pairing_ref";
/// Wrong codes after which the companion is told to show another one; it takes three of the phone's hellos.
const ATTEMPTS: u32 = 3;
/// Salt, nonce, two identities with a random value, tag.
const BUNDLE: usize = 32 + 12 + 96 + 16;

/// A companion that shows a code and waits for somebody to type it.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) link: Link,
    reference: Vec<u8>,
    /// Salt, counter and the companion's ephemeral key, encrypted with the code.
    wrapped: [u8; 80],
    noise_key: [u8; 32],
}

/// A typed code on its way to the unpaired connection.
pub(crate) struct Typed {
    account: Arc<Account>,
    reference: Vec<u8>,
    ephemeral: KeyPair,
    companion: [u8; 32],
    wrapped: [u8; 80],
    noise_key: [u8; 32],
    answer: oneshot::Sender<Result<u16, Error>>,
}

/// What an unpaired connection knows about its code.
#[derive(Default)]
pub(crate) struct Conversation {
    /// The number the code is for, and its reference.
    shown: Option<(u64, Vec<u8>)>,
    typed: Option<Typed>,
    failures: u32,
}

/// What a stanza of the companion leads to.
pub(crate) enum Step {
    /// Answer, and let phones with this number find the connection.
    Shown { reply: Node, phone: u64, former: Option<u64>, waiting: Box<Waiting> },
    /// Answer; the phone opened the companion's proof, or not.
    Finished { reply: Node, scan: Option<Box<Scan>>, refresh: Option<Node> },
    /// Answer only.
    Refused(Node),
}

impl Waiting {
    /// The phone's half up to its hello. It takes 2^18 rounds of PBKDF2: not for the runtime's threads.
    pub(crate) fn type_code(
        &self,
        code: &str,
        account: Arc<Account>,
        answer: oneshot::Sender<Result<u16, Error>>,
    ) -> Option<Typed> {
        let companion = PairCodeUtils::decrypt_primary_ephemeral_pub(&self.wrapped, code).ok()?;
        let ephemeral = trust::generate();
        let public: [u8; 32] = ephemeral.public_key.public_key_bytes().try_into().ok()?;
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&public, code);
        Some(Typed {
            account,
            reference: self.reference.clone(),
            ephemeral,
            companion,
            wrapped,
            noise_key: self.noise_key,
            answer,
        })
    }
}

impl Conversation {
    /// The number this connection shows a code for.
    pub(crate) fn phone(&self) -> Option<u64> {
        self.shown.as_ref().map(|(phone, _)| *phone)
    }

    /// Reads an IQ of the companion; `None` when it is about something else.
    pub(crate) fn hear(&mut self, world: &World, node: &NodeRef<'_>, link: &Link, noise_key: [u8; 32]) -> Option<Step> {
        let reg = node.get_optional_child(REG)?;
        let id = stanza::attr(node, "id")?;
        let step = match stanza::attr(reg, "stage").as_deref() {
            Some("companion_hello") => self.hello(world, &id, reg, link, noise_key),
            Some("companion_finish") => self.finish(&id, reg),
            _ => None,
        };
        Some(step.unwrap_or_else(|| Step::Refused(stanza::iq_error(&id, 400, "bad-request"))))
    }

    fn hello(&mut self, world: &World, id: &str, reg: &NodeRef<'_>, link: &Link, noise_key: [u8; 32]) -> Option<Step> {
        let phone = stanza::attr(reg, "jid").and_then(|jid| parse_phone(&jid))?;
        if let Some(code) = trouble::refuses_code(world, phone) {
            return Some(Step::Refused(stanza::iq_error(id, code, refusal(code))));
        }
        let wrapped = content(reg, "link_code_pairing_wrapped_companion_ephemeral_pub")?.try_into().ok()?;
        if content(reg, "companion_server_auth_key_pub")? != noise_key.as_slice() {
            return None;
        }
        let mut random = [0_u8; 16];
        rand::rng().fill_bytes(&mut random);
        let reference = format!("3@{}", hex::encode(random)).into_bytes();
        let former = self.shown.replace((phone, reference.clone())).map(|(former, _)| former);
        self.typed = None;
        self.failures = 0;
        let child =
            NodeBuilder::new(REG).attr("stage", "companion_hello").children([stanza::bytes(REF, reference.clone())]).build();
        let waiting = Box::new(Waiting { link: link.clone(), reference, wrapped, noise_key });
        Some(Step::Shown { reply: stanza::iq_result(id, vec![child]), phone, former, waiting })
    }

    /// Takes a typed code; the phone's hello for the companion, or `None` when the code was replaced meanwhile.
    pub(crate) fn typed(&mut self, typed: Typed) -> Option<Node> {
        if self.shown.as_ref().is_none_or(|(_, reference)| *reference != typed.reference) {
            let _ = typed.answer.send(Err(Error::Gone));
            return None;
        }
        let node = notification("primary_hello", &typed.reference, |reg| {
            reg.extend([
                stanza::bytes("link_code_pairing_wrapped_primary_ephemeral_pub", typed.wrapped),
                stanza::bytes("primary_identity_pub", typed.account.identity.public_key.public_key_bytes()),
            ]);
        });
        if let Some(former) = self.typed.replace(typed) {
            let _ = former.answer.send(Err(Error::Gone));
        }
        Some(node)
    }

    fn finish(&mut self, id: &str, reg: &NodeRef<'_>) -> Option<Step> {
        let bundle = content(reg, "link_code_pairing_wrapped_key_bundle").filter(|bundle| bundle.len() == BUNDLE)?;
        let identity: [u8; 32] = content(reg, "companion_identity_public")?.try_into().ok()?;
        let reference = content(reg, REF)?;
        let typed = self.typed.take_if(|typed| typed.reference == reference)?;
        // The server says that it has the bundle, not that the phone could open it.
        let child = NodeBuilder::new(REG).attr("stage", "companion_finish").build();
        let reply = stanza::iq_result(id, vec![child]);
        let Some(adv_secret) = typed.open(bundle, &identity) else {
            let _ = typed.answer.send(Err(Error::WrongCode));
            self.failures += 1;
            let refresh = (self.failures >= ATTEMPTS).then(|| notification("refresh_code", reference, |_| {}));
            return Some(Step::Finished { reply, scan: None, refresh });
        };
        let reference = String::from_utf8_lossy(reference).into_owned();
        let code = QrCode::new(reference, typed.noise_key, identity, adv_secret.to_vec());
        let scan = Box::new(Scan { code, account: typed.account, answer: typed.answer });
        Some(Step::Finished { reply, scan: Some(scan), refresh: None })
    }
}

impl Typed {
    /// The secret that both sides know now; `None` when the code was another one, or somebody else is at work.
    fn open(&self, bundle: &[u8], identity: &[u8; 32]) -> Option<[u8; 32]> {
        let (salt, rest) = bundle.split_first_chunk::<32>()?;
        let (nonce, sealed) = rest.split_first_chunk::<12>()?;
        let companion = PublicKey::from_djb_public_key_bytes(&self.companion).ok()?;
        let shared = self.ephemeral.private_key.calculate_agreement(&companion).ok()?;
        let mut key = [0_u8; 32];
        hkdf_sha256_into(&shared, Some(salt), b"link_code_pairing_key_bundle_encryption_key", &mut key).ok()?;
        let mut opened = Vec::with_capacity(sealed.len());
        aes_256_gcm_decrypt(&key, nonce, b"", sealed, &mut opened).ok()?;
        let (theirs, rest) = opened.split_first_chunk::<32>()?;
        let (ours, random) = rest.split_first_chunk::<32>()?;
        if theirs != identity || ours.as_slice() != self.account.identity.public_key.public_key_bytes() {
            return None;
        }
        let companion = PublicKey::from_djb_public_key_bytes(identity).ok()?;
        let identities = self.account.identity.private_key.calculate_agreement(&companion).ok()?;
        let mut adv_secret = [0_u8; 32];
        let secret = [shared.as_slice(), identities.as_slice(), random].concat();
        hkdf_sha256_into(&secret, None, b"adv_secret", &mut adv_secret).ok()?;
        Some(adv_secret)
    }
}

/// The text beside the code, as `wacore::pair_code::PairCodeRejection` names it; a code with another text is none.
fn refusal(code: u16) -> &'static str {
    PairCodeRejection::from(i32::from(code)).text().unwrap_or("error")
}

fn content<'a>(node: &'a NodeRef<'_>, tag: &str) -> Option<&'a [u8]> {
    node.get_optional_child(tag)?.content_bytes()
}

fn notification(stage: &'static str, reference: &[u8], more: impl FnOnce(&mut Vec<Node>)) -> Node {
    let mut children = vec![stanza::bytes(REF, reference)];
    more(&mut children);
    NodeBuilder::new("notification")
        .attr("from", SERVER_JID)
        .attr("type", REG)
        .attr("id", format!("{stage}-{}", stanza::unix_millis()))
        .attr("t", stanza::unix_seconds())
        .children([NodeBuilder::new(REG).attr("stage", stage).children(children).build()])
        .build()
}
