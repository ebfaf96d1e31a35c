//! Linking a companion, by QR code or by a typed one: QR references, the scan by a phone, pair-success, the companion's signature, 515.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use tokio::sync::oneshot;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef, SERVER_JID};
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPairingProps;

use crate::account::{Account, Device};
use crate::address::Addressing;
use crate::adv;
use crate::link::{self, Command, Link, LinkEnd};
use crate::pairing_code::{Conversation, Step};
use crate::stanza;
use crate::wire::{self, Wire};
use crate::world::World;

/// Prepended to the code by clients whose QR a phone's camera app may open.
const DEEP_LINK: &str = "https://wa.me/settings/linked_devices#";
/// From the client's signature to 515. A client is still noting that it is paired when it has signed; one that is told to
/// start again meanwhile may do so twice (`pair.rs` of the client library), and the real server is not that quick.
const RESTART_AFTER: Duration = Duration::from_millis(100);
/// How long a client has to close its socket after 515.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// What a QR code says.
pub(crate) struct QrCode {
    pub(crate) reference: String,
    noise_key: [u8; 32],
    identity: [u8; 32],
    adv_secret: Vec<u8>,
}

impl QrCode {
    /// What a scan would have told, learned in another way.
    pub(crate) fn new(reference: String, noise_key: [u8; 32], identity: [u8; 32], adv_secret: Vec<u8>) -> Self {
        Self { reference, noise_key, identity, adv_secret }
    }

    /// Reads `<ref>,<noise>,<identity>,<adv secret>[,<client type>]`, with or without the deep link before it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let body = text.strip_prefix(DEEP_LINK).unwrap_or(text);
        let mut fields = body.split(',');
        let reference = fields.next().filter(|field| !field.is_empty() && field.len() <= 512)?;
        let mut key = || BASE64_STANDARD.decode(fields.next()?).ok();
        let (noise_key, identity, adv_secret) = (key()?, key()?, key()?);
        if adv_secret.is_empty() || adv_secret.len() > 64 {
            return None;
        }
        Some(Self {
            reference: reference.to_owned(),
            noise_key: noise_key.try_into().ok()?,
            identity: identity.try_into().ok()?,
            adv_secret,
        })
    }
}

/// Why a scan did not lead to a linked device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the code does not belong to the connection that showed it")]
    ForeignCode,
    #[error("the account has its limit of linked devices")]
    TooManyDevices,
    #[error("the client refused the pairing")]
    Refused,
    #[error("the client's signature over the pairing is not valid")]
    BadSignature,
    #[error("the client went away during the pairing")]
    Gone,
    #[error("the client shows another code")]
    WrongCode,
}

/// An unpaired connection that shows a QR code.
#[derive(Clone)]
pub(crate) struct Showing {
    pub(crate) link: Link,
    /// The name it registered under.
    pub(crate) name: Option<String>,
}

/// A phone's scan on its way to the unpaired connection.
pub(crate) struct Scan {
    pub(crate) code: QrCode,
    pub(crate) account: Arc<Account>,
    pub(crate) answer: oneshot::Sender<Result<u16, Error>>,
}

/// A pair-success whose signature is awaited.
struct Offer {
    request: String,
    device: u16,
    key_index: u32,
    scan: Scan,
}

/// Serves an unpaired client until it is linked, goes away, or its time is over.
pub(crate) async fn serve(
    world: &Arc<World>,
    mut wire: Wire,
    noise_key: [u8; 32],
    name: Option<String>,
) -> Result<(), wire::Error> {
    let (link, mut end) = link::pair(world.next_connection());
    let references: Vec<String> = (0..world.options.pairing_refs.max(1)).map(|_| reference()).collect();
    for reference in &references {
        world.pairings().insert(reference.clone(), Showing { link: link.clone(), name: name.clone() });
    }
    let mut talk = Talk { world, wire: &mut wire, link: &link, noise_key, offer: None, code: Conversation::default() };
    let outcome = tokio::select! {
        outcome = talk.converse(&mut end, &references) => outcome,
        () = tokio::time::sleep(world.options.pairing_lifetime) => Ok(()),
        () = world.stop.cancelled() => Ok(()),
    };
    for reference in &references {
        world.pairings().remove(reference);
    }
    if let Some(phone) = talk.code.phone() {
        withdraw(world, phone, &link);
    }
    wire.close().await;
    outcome
}

/// Forgets the code a connection shows, unless another one shows a code for the same number meanwhile.
fn withdraw(world: &World, phone: u64, link: &Link) {
    let mut codes = world.codes();
    if codes.get(&phone).is_some_and(|waiting| waiting.link.id == link.id) {
        codes.remove(&phone);
    }
}

/// The conversation with an unpaired client.
struct Talk<'a> {
    world: &'a Arc<World>,
    wire: &'a mut Wire,
    link: &'a Link,
    noise_key: [u8; 32],
    offer: Option<Offer>,
    code: Conversation,
}

impl Talk<'_> {
    async fn converse(&mut self, end: &mut LinkEnd, references: &[String]) -> Result<(), wire::Error> {
        self.wire.send(&pair_device(references)).await?;
        loop {
            tokio::select! {
                received = self.wire.next() => {
                    let (node, _) = received?;
                    self.world.counters.stanzas.one();
                    if self.hear(node.get()).await? {
                        return linger(self.wire).await;
                    }
                }
                command = end.commands.recv() => match command {
                    Some(Command::Scan(scan)) => self.scanned(*scan).await?,
                    Some(Command::Typed(typed)) => {
                        if let Some(hello) = self.code.typed(*typed) {
                            self.wire.send(&hello).await?;
                        }
                    }
                    Some(Command::Write(node)) => self.wire.send(&node).await?,
                    Some(Command::WriteAndClose(node)) => return self.wire.send(&node).await,
                    Some(Command::Cut | Command::Replaced) | None => return Ok(()),
                },
            }
        }
    }

    /// Takes one stanza; `true` when the client is linked.
    async fn hear(&mut self, node: &NodeRef<'_>) -> Result<bool, wire::Error> {
        let answered = self.offer.take_if(|offer| stanza::attr_is(node, "id", &offer.request));
        if let Some(offer) = answered {
            return conclude(self.world, self.wire, offer, node, self.noise_key).await;
        }
        let set = node.tag == "iq" && stanza::attr_is(node, "type", "set");
        let step = if set { self.code.hear(self.world, node, self.link, self.noise_key) } else { None };
        match step {
            None => {
                if let Some(reply) = unpaired_reply(self.world, node) {
                    self.wire.send(&reply).await?;
                }
            }
            Some(Step::Refused(reply)) => self.wire.send(&reply).await?,
            Some(Step::Shown { reply, phone, former, waiting }) => {
                if let Some(former) = former {
                    withdraw(self.world, former, self.link);
                }
                self.world.codes().insert(phone, *waiting);
                self.wire.send(&reply).await?;
            }
            Some(Step::Finished { reply, scan, refresh }) => {
                self.wire.send(&reply).await?;
                if let Some(refresh) = refresh {
                    self.wire.send(&refresh).await?;
                }
                if let Some(scan) = scan {
                    self.scanned(*scan).await?;
                }
            }
        }
        Ok(false)
    }

    async fn scanned(&mut self, scan: Scan) -> Result<(), wire::Error> {
        if self.offer.is_some() {
            let _ = scan.answer.send(Err(Error::Refused));
            return Ok(());
        }
        self.offer = open_offer(self.wire, scan, self.noise_key).await?;
        Ok(())
    }
}

/// Sends pair-success, unless the code is not this connection's.
async fn open_offer(wire: &mut Wire, scan: Scan, noise_key: [u8; 32]) -> Result<Option<Offer>, wire::Error> {
    if scan.code.noise_key != noise_key {
        let _ = scan.answer.send(Err(Error::ForeignCode));
        return Ok(None);
    }
    let (reserved, raw_id) = {
        let mut state = scan.account.state();
        (state.reserve(), state.raw_id)
    };
    let Some((device, key_index)) = reserved else {
        let _ = scan.answer.send(Err(Error::TooManyDevices));
        return Ok(None);
    };
    let identity = adv::pairing_identity(
        &scan.account.identity,
        raw_id,
        key_index,
        stanza::unix_seconds(),
        &scan.code.identity,
        &scan.code.adv_secret,
    );
    let Ok(identity) = identity else {
        let _ = scan.answer.send(Err(Error::BadSignature));
        return Ok(None);
    };
    let request = format!("pair-{device}-{key_index}");
    wire.send(&pair_success(&scan.account, device, &request, identity)).await?;
    Ok(Some(Offer { request, device, key_index, scan }))
}

/// Reads the client's answer to pair-success; `true` when the device is linked and was told to reconnect.
async fn conclude(
    world: &Arc<World>,
    wire: &mut Wire,
    offer: Offer,
    node: &NodeRef<'_>,
    noise_key: [u8; 32],
) -> Result<bool, wire::Error> {
    let Offer { device, key_index, scan, .. } = offer;
    let signed = node
        .get_optional_child_by_tag(&["pair-device-sign", "device-identity"])
        .and_then(|identity| identity.content_bytes());
    let Some(signed) = signed else {
        let _ = scan.answer.send(Err(Error::Refused));
        return Ok(false);
    };
    let account_key = scan.account.identity.public_key.public_key_bytes().try_into().ok();
    let verdict = validate_adv_with_identity_key(signed, &scan.code.identity, account_key.as_ref());
    if !matches!(verdict, AdvValidation::Valid) {
        let _ = scan.answer.send(Err(Error::BadSignature));
        return Ok(false);
    }
    scan.account.state().link(device, Device::new(key_index, noise_key, scan.code.identity, signed.to_vec()));
    scan.account.touch();
    crate::iq::usync::announce_devices(world, &scan.account, device);
    world.counters.pairings.one();
    tokio::time::sleep(RESTART_AFTER).await;
    let restart = NodeBuilder::new("stream:error").attr("code", "515").build();
    let sent = wire.send(&restart).await;
    let _ = scan.answer.send(Ok(device));
    sent.map(|()| true)
}

/// The client closes after 515; until then whatever it sends is read and left.
async fn linger(wire: &mut Wire) -> Result<(), wire::Error> {
    let drained = tokio::time::timeout(CLOSE_GRACE, async { while wire.next().await.is_ok() {} }).await;
    if drained.is_err() {
        tracing::debug!("pairing.close.by_server");
    }
    Ok(())
}

/// What an unpaired client may ask.
fn unpaired_reply(world: &World, node: &NodeRef<'_>) -> Option<Node> {
    let is_request = node.tag == "iq" && (stanza::attr_is(node, "type", "get") || stanza::attr_is(node, "type", "set"));
    if !is_request {
        return None;
    }
    let id = stanza::attr(node, "id")?;
    if stanza::attr_is(node, "xmlns", "w:p") {
        return Some(stanza::iq_result(&id, Vec::new()));
    }
    world.counters.iq_unknown.one();
    Some(stanza::iq_error(&id, 501, "feature-not-implemented"))
}

fn pair_device(references: &[String]) -> Node {
    let references = references.iter().map(|reference| stanza::bytes("ref", reference.as_bytes())).collect::<Vec<_>>();
    NodeBuilder::new("iq")
        .attr("from", SERVER_JID)
        .attr("type", "set")
        .attr("id", format!("pair-device-{}", stanza::unix_millis()))
        .attr("xmlns", "md")
        .children([NodeBuilder::new("pair-device").children(references).build()])
        .build()
}

fn pair_success(account: &Account, device: u16, request: &str, identity: Vec<u8>) -> Node {
    let (name, lid_migrated) = {
        let state = account.state();
        (state.name.clone(), state.lid_migrated)
    };
    let props = ClientPairingProps { is_chat_db_lid_migrated: Some(lid_migrated), ..Default::default() };
    let linked = NodeBuilder::new("device")
        .attr("jid", account.jid(device, Addressing::Pn))
        .attr("lid", account.jid(device, Addressing::Lid))
        .build();
    NodeBuilder::new("iq")
        .attr("from", SERVER_JID)
        .attr("type", "set")
        .attr("id", request)
        .attr("xmlns", "md")
        .attr("t", stanza::unix_seconds())
        .children([NodeBuilder::new("pair-success")
            .children([
                stanza::bytes("device-identity", identity),
                NodeBuilder::new("biz").attr("name", name).build(),
                linked,
                NodeBuilder::new("platform").attr("name", "android").build(),
                stanza::bytes("client-props", props.encode_to_vec()),
            ])
            .build()])
        .build()
}

/// `2@` and random text, as WhatsApp's references look.
fn reference() -> String {
    let mut random = [0_u8; 48];
    rand::rng().fill_bytes(&mut random);
    format!("2@{}", BASE64_STANDARD.encode(random))
}

/// The JIDs and the number of a freshly linked device, for whoever scanned.
pub(crate) fn linked_jids(account: &Account, device: u16) -> (Jid, Jid) {
    (account.jid(device, Addressing::Pn), account.jid(device, Addressing::Lid))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn code(fields: usize, prefix: &str) -> String {
        let key = BASE64_STANDARD.encode([7_u8; 32]);
        let mut parts = vec!["2@ref".to_owned(), key.clone(), key.clone(), key];
        parts.push("1".to_owned());
        parts.truncate(fields);
        format!("{prefix}{}", parts.join(","))
    }

    #[test]
    fn every_known_form_is_read() {
        for text in [code(4, ""), code(5, ""), code(5, DEEP_LINK), format!("  {}\n", code(5, ""))] {
            assert_eq!(QrCode::parse(&text).unwrap().reference, "2@ref");
        }
    }

    #[test]
    fn other_text_is_not_a_code() {
        for text in ["", "hello", &code(3, ""), "2@ref,AAAA,AAAA,AAAA", ",,,,"] {
            assert!(QrCode::parse(text).is_none(), "{text}");
        }
    }
}
