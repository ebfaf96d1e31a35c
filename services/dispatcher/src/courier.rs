//! The courier of one webhook: reads the log for it, posts what it finds, and has it recorded.
//!
//! One task owns all of the state; posts and reads of the log run beside it and come back as messages. What may be posted when
//! is decided by the pure parts: [`flow`] (order, lanes, positions), [`circuit`] (how much at once), [`schedule`] (when again).
//!
//! After a crash, what was posted and not yet recorded is posted again under the same id; nothing is ever skipped.

mod circuit;
mod figures;
mod flow;
mod item;
mod post;
mod posting;
mod queue;
mod reading;
mod recording;
mod schedule;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use figures::NOTHING_WAITS;

use crate::shared::{Permit, Permits, Shared};
use circuit::Circuit;
use figures::Figures;
use flow::{BOUNDS, Flow};
use futures::future::{BoxFuture, OptionFuture};
use post::Ended;
use reading::Read;
use recording::Gathered;
use source::Source;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use warren_domain::{ReplayId, Timestamp, Webhook};
use warren_ports::ledger::{Assignment, Claim};

/// A lane never waits longer than this: a time that is further away was written by a clock that was wrong.
const LONGEST_WAIT: Duration = Duration::from_secs(8 * 24 * 3_600);

/// What the dispatcher tells a courier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// The newest version of the webhook that is known.
    pub(crate) version: i64,
    /// Finish what is under way, record it, and end.
    pub(crate) stop: bool,
}

/// A flow that is worked on.
struct Running {
    source: Source,
    flow: Flow,
    /// Since when what it reads has waited at least: when a replay was asked for.
    since: Timestamp,
    /// Whether there may be more to read.
    more: bool,
    /// Whether it is being read just now.
    is_reading: bool,
    /// Whether lanes were read for last: flow and lanes take turns.
    fed_last: bool,
}

impl Running {
    fn new(source: Source, flow: Flow, since: Timestamp) -> Self {
        Self { source, flow, since, more: true, is_reading: false, fed_last: false }
    }
}

/// The courier of one webhook.
pub(crate) struct Courier {
    shared: Arc<Shared>,
    claim: Claim,
    version: i64,
    webhook: Arc<Webhook>,
    flows: Vec<Running>,
    circuit: Circuit,
    /// Whether the log was read last to see whether the webhook answers again, rather than a lane.
    asked_the_log: bool,
    posts: JoinSet<Ended>,
    reads: JoinSet<Read>,
    permits: Permits,
    permit: Option<Permit>,
    waiting: Option<BoxFuture<'static, Option<Permit>>>,
    gathered: Gathered,
    recording: Option<BoxFuture<'static, bool>>,
    dead_letters: u32,
    orders: watch::Receiver<Order>,
    bell: watch::Receiver<()>,
    stopping: bool,
    sweep_at: Instant,
    figures: Figures,
}

impl Courier {
    /// The courier of a webhook that was just claimed. What waits longest is said in `oldest`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        assignment: Assignment,
        orders: watch::Receiver<Order>,
        bell: watch::Receiver<()>,
        oldest: Arc<AtomicI64>,
    ) -> Self {
        let options = &shared.options;
        let circuit =
            Circuit::new(options.in_flight_per_webhook, options.failures_to_open, Duration::from_millis(options.probe_ms));
        let webhook = Arc::new(assignment.webhook.clone());
        let mut courier = Self {
            claim: assignment.claim,
            version: assignment.version,
            flows: Vec::new(),
            circuit,
            asked_the_log: false,
            posts: JoinSet::new(),
            reads: JoinSet::new(),
            permits: shared.permits_of(webhook.tenant),
            permit: None,
            waiting: None,
            gathered: Gathered::new(webhook.standing, Instant::now()),
            recording: None,
            dead_letters: assignment.dead_letters,
            orders,
            bell,
            stopping: false,
            sweep_at: Instant::now(),
            figures: Figures::new(Arc::clone(&shared), oldest),
            webhook,
            shared,
        };
        courier.open_flow(None, Source::Live, assignment.webhook.position, Timestamp::default(), &assignment);
        for replay in &assignment.replays {
            let source = Source::Replay(replay.what.clone());
            courier.open_flow(Some(replay.id), source, replay.position, replay.created_at, &assignment);
        }
        courier
    }

    fn open_flow(
        &mut self,
        replay: Option<ReplayId>,
        source: Source,
        position: i64,
        since: Timestamp,
        assignment: &Assignment,
    ) {
        let lanes: Vec<_> =
            assignment.lanes.iter().filter(|(flow, _)| *flow == replay).map(|(_, lane)| lane.clone()).collect();
        let flow = Flow::new(BOUNDS, replay, position, source.end(), &lanes);
        self.flows.push(Running::new(source, flow, since));
    }

    /// Works until it is told to stop, or must not go on.
    pub(crate) async fn run(mut self) {
        loop {
            let now = self.shared.now();
            for running in &mut self.flows {
                running.flow.wake(now, LONGEST_WAIT);
            }
            self.post_what_may(now);
            self.read_what_may(now);
            if !self.record_what_is_due() {
                return;
            }
            let wait = self.wait(now);
            tokio::select! {
                Some(ended) = self.posts.join_next() => self.settle(ended),
                Some(read) = self.reads.join_next() => self.take_in(read),
                Some(held) = OptionFuture::from(self.recording.as_mut()) => {
                    self.recording = None;
                    if !self.recorded(held) {
                        return;
                    }
                }
                Some(permit) = OptionFuture::from(self.waiting.as_mut()) => {
                    self.waiting = None;
                    self.permit = permit;
                }
                Ok(()) = self.bell.changed() => self.look_again(),
                changed = self.orders.changed() => {
                    self.stopping |= changed.is_err() || self.orders.borrow_and_update().stop;
                    self.sweep_at = Instant::now();
                }
                () = tokio::time::sleep(wait) => {}
            }
            if self.sweep_at <= Instant::now() {
                self.sweep_at = Instant::now() + self.shared.sweep_every();
                self.look_again();
                self.read_again_if_changed().await;
            }
        }
    }

    /// The log may have grown.
    fn look_again(&mut self) {
        for running in self.flows.iter_mut().filter(|running| running.source == Source::Live) {
            running.more = true;
        }
    }

    /// How long nothing has to be done by itself.
    fn wait(&self, now: Timestamp) -> Duration {
        let clock = Instant::now();
        let until = |at: Timestamp| at.since(now);
        let lanes = self.flows.iter().filter_map(|running| running.flow.next_at()).map(until);
        let paused = self.gathered.standing.paused_until.filter(|at| *at > now).map(until);
        let probe = self.circuit.probe_in(now).filter(|wait| !wait.is_zero());
        let record = self.gathered.due_in(self.shared.options.record_every()).filter(|_| self.recording.is_none());
        let sweep = self.sweep_at.saturating_duration_since(clock);
        lanes.chain(paused).chain(probe).chain(record).min().unwrap_or(sweep).min(sweep)
    }

    /// Reads the webhook again if its tenant changed it. Not while something of it is being recorded: what was read before that
    /// would be older than what is known here.
    async fn read_again_if_changed(&mut self) {
        let version = self.orders.borrow().version;
        if version <= self.version || self.recording.is_some() || self.stopping {
            return;
        }
        match self.shared.ledger.assignment(self.claim).await {
            Ok(Some(assignment)) => self.go_on_with(assignment),
            // It is disabled, deleted, or another one's: what is under way is finished.
            Ok(None) => self.stopping = true,
            // The next sweep tries again.
            Err(error) => tracing::debug!(code = error.code, "a changed webhook cannot be read"),
        }
    }

    fn go_on_with(&mut self, assignment: Assignment) {
        let is_moved = assignment.webhook.url != self.webhook.url;
        self.version = assignment.version;
        self.dead_letters = assignment.dead_letters;
        let listed = |replay: ReplayId| assignment.replays.iter().any(|listed| listed.id == replay);
        self.flows.retain(|running| running.flow.replay.is_none_or(listed));
        for replay in &assignment.replays {
            if self.flows.iter().all(|running| running.flow.replay != Some(replay.id)) {
                let source = Source::Replay(replay.what.clone());
                self.open_flow(Some(replay.id), source, replay.position, replay.created_at, &assignment);
            }
        }
        self.webhook = Arc::new(assignment.webhook);
        if is_moved {
            self.circuit.reset();
            self.gathered.standing.paused_until = None;
            self.flows.iter_mut().for_each(|running| running.flow.wake_all());
        }
    }
}
