//! What dispatchers do with webhooks: one of them works on each, and what it did is a row.
//!
//! The log is the queue: nothing of it is copied. A *flow* is a reader of it with a position: the live one of each webhook,
//! and one for each replay. Everything up to its position was delivered, except what belongs to its *lanes*: an instance of
//! which something could not be delivered has a lane with a position of its own, from which it is read alone until it has
//! caught up. So what is kept is bounded by the number of instances, and the order of each instance holds.

use async_trait::async_trait;
use std::time::Duration;
use warren_domain::{
    DispatcherId, InstanceId, ReplayId, Result, Timestamp, Webhook, WebhookId,
    webhook::{Attempt, DeadLetter, DeliveryFailure, Disabled, Replay, Standing},
};

/// The right to work on a webhook. Whoever takes it next has a higher fence, and what is recorded under a lower one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// On which.
    pub webhook: WebhookId,
    /// Grows with each taking.
    pub fence: i64,
}

/// What a dispatcher asks for, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claiming {
    /// Who asks.
    pub dispatcher: DispatcherId,
    /// How long its claims hold from now on, unless it asks again before.
    pub ttl: Duration,
    /// How many webhooks it takes at most now.
    pub most: u32,
}

/// A webhook as its dispatcher holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The claim.
    pub claim: Claim,
    /// Grows with each change by its tenant, a new replay among them: read it again then.
    pub version: i64,
}

/// What a dispatcher has.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The enabled webhooks that are its own, the taken ones among them, in no order. What it held and is not here, it has lost:
    /// it was taken, disabled or deleted.
    pub held: Vec<Held>,
    /// Those that were taken just now.
    pub taken: Vec<Assignment>,
    /// How many each of the living dispatchers should have. Who has more gives some back.
    pub share: u32,
}

/// A webhook with everything that is needed to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The claim.
    pub claim: Claim,
    /// The version that this is.
    pub version: i64,
    /// The webhook.
    pub webhook: Webhook,
    /// Its replays under way.
    pub replays: Vec<Replay>,
    /// The lanes of its flows; `None` is the live one.
    pub lanes: Vec<(Option<ReplayId>, Lane)>,
    /// How many dead letters it has.
    pub dead_letters: u32,
}

/// An instance whose events of a flow wait for their turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Which instance.
    pub instance: InstanceId,
    /// The position of its first event that was not delivered.
    pub position: i64,
    /// How often that one was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next_at: Timestamp,
    /// Why it failed last, if it was tried.
    pub failure: Option<DeliveryFailure>,
}

/// What was done for a webhook. All of it is committed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Under which claim.
    pub claim: Claim,
    /// How far each flow is that moved.
    pub flows: Vec<FlowProgress>,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// What was given up. A dead letter of the same event is replaced.
    pub dead: Vec<DeadLetter>,
    /// The positions of dead letters that were delivered after all, and are none any more.
    pub revived: Vec<i64>,
    /// How the webhook stands, as a whole.
    pub standing: Standing,
    /// That nothing more is to be posted. A webhook that is disabled already keeps its reason.
    pub disable: Option<Disabled>,
}

/// How far a flow is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowProgress {
    /// Which one; `None` is the live one.
    pub replay: Option<ReplayId>,
    /// Everything up to here was delivered, or belongs to a lane.
    pub position: i64,
    /// Lanes that are new, or changed.
    pub lanes: Vec<Lane>,
    /// Instances whose lane has caught up.
    pub caught_up: Vec<InstanceId>,
    /// A replay that is at its end goes, with its lanes.
    pub ended: bool,
}

/// The dispatchers' side of webhooks. Times of claims are the ledger's own, so that clocks of dispatchers may differ.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Says that a dispatcher lives, and takes up to `most` enabled webhooks for it that are nobody's, or belong to one whose
    /// claims ran out: not more than its share, which is as many as all living dispatchers would have if they shared equally.
    /// Of parallel calls no two take the same. A dispatcher whose claims ran out keeps what nobody took.
    async fn claim(&self, claiming: Claiming) -> Result<Claimed>;
    /// Reads a webhook again; `None` if the claim holds no more, or the webhook is disabled.
    async fn assignment(&self, claim: Claim) -> Result<Option<Assignment>>;
    /// Gives webhooks back: anybody may take them at once. Claims that hold no more are passed over.
    async fn give_back(&self, claims: &[Claim]) -> Result<()>;
    /// Says that a dispatcher ends: all that it holds is anybody's at once.
    async fn leave(&self, dispatcher: DispatcherId) -> Result<()>;
    /// Commits what was done, at most one progress a claim, a verdict each, in the order given: `false` if the claim holds no more; then nothing of it was
    /// written. A replay that is not under way any more is passed over, the rest is written. Attempts get their numbers here.
    async fn record(&self, progress: Vec<Progress>) -> Result<Vec<bool>>;

    /// Up to `limit` dead letters of a webhook after a position in the log, by position.
    async fn letters(&self, webhook: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>>;
    /// Removes at most `limit` rows of each kind: dead letters that were given up before `dead_before`, and what is left of
    /// deleted webhooks. Returns whether there was more.
    async fn tidy_webhooks(&self, dead_before: Timestamp, limit: u32) -> Result<bool>;
}
