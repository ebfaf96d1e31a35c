//! The bus: moves requests to the owner of a shard and rings bells. It is a doorbell, never a mailbox: a lost ring costs
//! a sweep interval, never a message; a ring carries no authority.

pub mod ask;
pub mod listeners;

pub use ask::{Answer, Ask, Refusal, RefusalKind};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use warren_domain::{HealthStatus, InstanceId, MessageId, Shard, TenantId, Timestamp, event::EventType};

/// A request to the owner of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whose instance; the owner checks it.
    pub tenant: TenantId,
    /// Which instance.
    pub instance: InstanceId,
    /// What to do.
    pub action: Action,
}

/// What an owner can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Start pairing by QR code.
    PairByQr,
    /// Start pairing by a code that is typed on the phone with this number.
    PairByCode(PhoneToPair),
    /// How the pairing stands.
    PairingStatus,
    /// End the pairing.
    CancelPairing,
    /// Connect, and stay connected.
    Connect,
    /// Close the connection, and stay away.
    Disconnect,
    /// Close and connect again.
    Restart,
    /// Unlink this device at WhatsApp and forget its keys.
    Logout,
    /// The instance was deleted: unlink it, forget it.
    Deleted,
    /// What is measured right now.
    Health,
    /// Connect to WhatsApp through the instance's proxy, and close again: does it work?
    CheckProxy,
    /// Ask WhatsApp.
    Ask(Ask),
    /// Take a message out of the queue before it is handed to the wire: `Accepted` once it is committed as cancelled.
    CancelMessage(MessageId),
}

/// An owner's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is being done; watch the instance's state.
    Accepted,
    /// How the pairing stands.
    Pairing(Pairing),
    /// What is measured.
    Health(Measured),
    /// What came of a look at the proxy.
    Proxy(ProxyCheck),
    /// What came of an ask.
    Answer(Answer),
    /// It was not done, or nobody knows whether it was.
    Refused(Refusal),
    /// There is no such instance here.
    NotFound,
}

/// The number of a phone that a code is typed on: E.164 digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhoneToPair(pub String);

impl std::fmt::Debug for PhoneToPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PhoneToPair(..)")
    }
}

/// How a pairing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// Where it is.
    pub state: PairingState,
    /// The text of the current QR code.
    pub qr: Option<String>,
    /// The current code to type on the phone, `XXXX-XXXX`.
    pub code: Option<String>,
    /// Until when that code is good.
    pub expires_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// Where a pairing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairingState {
    /// No pairing was started.
    None,
    /// Connecting; there is no code yet.
    Starting,
    /// There is a code to scan or to type.
    Waiting,
    /// Paired.
    Succeeded,
    /// Ended without success; see the reason.
    Failed,
    /// Cancelled by the caller.
    Cancelled,
}

/// Health as its owner measures it at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The verdict now, which may be ahead of the stored one (a store that waits cannot store that it waits).
    pub status: HealthStatus,
    /// Why, if degraded.
    pub reason: Option<String>,
    /// When the last stanza came in.
    pub last_stanza_at: Option<Timestamp>,
    /// Round trip of the last ping, milliseconds.
    pub rtt_ms: Option<u32>,
}

/// What came of a connection through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyCheck {
    /// Why it does not work, stable and lower-case; `None`: it does.
    pub reason: Option<String>,
    /// How long it took, milliseconds.
    pub took_ms: u32,
}

/// An event that is not stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ephemeral {
    /// What it is.
    pub kind: EventType,
    /// Whose.
    pub tenant: TenantId,
    /// Of which instance.
    pub instance: InstanceId,
    /// When.
    pub occurred_at: Timestamp,
    /// The particulars.
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// New outbound messages for instances of a shard: listened to by its owner.
    Outbound(Shard),
    /// New events of a tenant, and its ephemeral ones.
    Log(TenantId),
    /// An outbound message was acknowledged or failed.
    Settled(MessageId),
}

/// What is heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Ring {
    /// The instance has new outbound messages.
    Outbound(InstanceId),
    /// The tenant has new events.
    Log,
    /// An event that is not stored.
    Ephemeral(std::sync::Arc<Ephemeral>),
    /// The message was settled: read it again.
    Settled,
    /// The listener was slow and rings were dropped: look everywhere.
    Missed,
}

/// A request on its way to an owner.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Where the answer goes; dropping it is "no responder".
    pub reply: oneshot::Sender<Reply>,
}

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Nobody serves that shard, and nobody did until the deadline.
    NoResponder,
    /// Somebody took it and did not answer in time: the outcome is not known.
    Timeout,
    /// The bus is away.
    Unavailable,
}

/// A listener. Bounded: when it is full, rings are dropped and one [`Ring::Missed`] is heard instead.
#[async_trait]
pub trait Listener: Send {
    /// The next ring; `None` once the bus is closed.
    async fn next(&mut self) -> Option<Ring>;
}

/// The bus.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Asks the owner of a shard. While nobody serves the shard it is tried again until the deadline, so that a failover
    /// looks like a slow request. Delivered at most once.
    async fn request(&self, shard: Shard, command: Command, deadline: Duration) -> Result<Reply, RequestError>;
    /// Serves the requests of a shard until the receiver is dropped. At most one server a shard and process; a second one
    /// replaces the first. Bounded: a full queue is `NoResponder` to the caller's retries.
    async fn serve(&self, shard: Shard) -> mpsc::Receiver<Request>;
    /// Rings everybody who listens to a topic now. Never blocks, never fails: at most once.
    fn ring(&self, topic: Topic, ring: Ring);
    /// Listens to a topic from now on. Rings of one ringer are heard in their order.
    ///
    /// What this process rings afterwards is heard, and what others ring to a log. Who listens to an outbound queue or to a
    /// message's end looks in the ledger as well: others may be heard a moment later there, as nobody waits for the bus.
    async fn listen(&self, topic: Topic) -> Box<dyn Listener>;
}
