//! What only time tells: answers that do not come, a pairing nobody scans, a silent server.
//!
//! An idle instance sleeps until the next moment at which something could be due, about once in [`silent_after_s`]: a beat a
//! second for each of thousands of instances was most of their CPU.
//!
//! [`silent_after_s`]: crate::Options::silent_after_s

use super::{Live, LiveEnd, Round};
use crate::{
    client,
    instance::{actor::Intent, policy::Ending},
};
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::time::Sleep;
use warren_domain::{Health, HealthStatus, Timestamp};
use warren_ports::ledger::Op;

/// How often a connection is looked at that is not at rest.
const OFTEN: Duration = Duration::from_secs(1);
/// A login that takes longer than the first while nothing is heard for the second is tried again.
const LOGIN_DEADLINE: Duration = Duration::from_secs(120);
const LOGIN_QUIET: Duration = Duration::from_secs(60);

/// The alarm of a connection.
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(OFTEN)))
    }

    /// Goes off at this time, or earlier: what is due later is seen then.
    fn at_latest(&mut self, at: tokio::time::Instant) {
        if at < self.0.deadline() {
            self.0.as_mut().reset(at);
        }
    }

    /// Resolves once; then it has to be set anew.
    pub(super) async fn goes_off(&mut self) {
        self.0.as_mut().await;
    }

    fn set(&mut self, after: Duration) {
        self.0.as_mut().reset(tokio::time::Instant::now() + after);
    }
}

impl Live<'_> {
    /// Sees to it that the alarm goes off in time for what has just begun.
    pub(super) fn set_alarm(&mut self) {
        if !self.is_at_rest() {
            self.alarm.at_latest(tokio::time::Instant::now() + OFTEN);
        }
    }

    /// Sees to it that the alarm goes off then.
    pub(super) fn alarm_within(&mut self, span: Duration) {
        self.alarm.at_latest(tokio::time::Instant::now() + span);
    }

    /// Whether only silence can come.
    fn is_at_rest(&self) -> bool {
        self.online
            && self.closing.is_none()
            && self.queue.is_at_rest()
            && self.actor.instance.health.status == HealthStatus::Ok
    }

    /// The alarm went off, or the store began or ceased to wait.
    pub(super) fn look(&mut self) -> Round {
        let end = self.overdue();
        if end.is_some() {
            return end;
        }
        let round = if self.online { self.look_at_health() } else { None };
        let next = if self.is_at_rest() { self.until_silent().max(OFTEN) } else { OFTEN };
        self.alarm.set(next);
        if self.online { round.or_else(|| self.review_restriction()) } else { round }
    }

    fn overdue(&self) -> Round {
        if self.queue.has_overdue(self.actor.shared.options.ack_deadline()) {
            return Some(LiveEnd::Ended(Ending::Unanswered));
        }
        if self.actor.intent == Intent::Pair && Instant::now() > self.actor.pairing.deadline {
            return Some(LiveEnd::Ended(Ending::CodesExhausted));
        }
        if self.typed_code.is_over() && !self.paired {
            return Some(LiveEnd::Ended(Ending::CodesExhausted));
        }
        // A long backlog takes its time, but then something is heard all the while.
        let login = self.actor.intent == Intent::Online && !self.online && self.opened.elapsed() > LOGIN_DEADLINE;
        let quiet = login && self.last_heard().unwrap_or_default().after(LOGIN_QUIET) < self.actor.now();
        quiet.then_some(LiveEnd::Ended(Ending::Unanswered))
    }

    /// When the server was heard last, as our clock tells it now.
    fn last_heard(&self) -> Option<Timestamp> {
        let ago = client::time::ago(self.link.client.stats().last_data_received_ms)?;
        Some(self.actor.now().before(ago))
    }

    pub(super) fn note_last_heard(&mut self) {
        if let Some(at) = self.last_heard() {
            self.actor.instance.health.last_stanza_at = Some(at);
        }
    }

    fn silent_after(&self) -> Duration {
        Duration::from_secs(self.actor.shared.options.silent_after_s)
    }

    /// How long until the server counts as silent if nothing is heard.
    fn until_silent(&self) -> Duration {
        let Some(last) = self.last_heard() else { return self.silent_after() };
        last.after(self.silent_after()).since(self.actor.now()).saturating_add(Duration::from_millis(1))
    }

    fn look_at_health(&mut self) -> Round {
        let health = self.measure();
        let known = &self.actor.instance.health;
        let is_known = health.status == known.status && health.reason == known.reason;
        self.actor.instance.health = health.clone();
        if is_known {
            return None;
        }
        let at = self.actor.now();
        self.settle(Op::SetHealth { health, at }, None, None)
    }

    /// The health as it is now.
    fn measure(&self) -> Health {
        let last_stanza_at = self.last_heard();
        let silent = last_stanza_at.is_some_and(|at| at.after(self.silent_after()) < self.actor.now());
        let reason = if *self.store_slow.borrow() {
            Some("store")
        } else if silent {
            Some("silent")
        } else {
            None
        };
        Health {
            status: if reason.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            reason: reason.map(str::to_owned),
            last_stanza_at,
            rtt_ms: self.actor.instance.health.rtt_ms,
        }
    }
}
