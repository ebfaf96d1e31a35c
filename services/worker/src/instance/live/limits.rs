//! What an account may not send now: because WhatsApp said so (463, 475), or because it began enough chats for a day. What
//! is restricted waits in the queue and goes on by itself; the rest goes on all the while.

use super::{Live, Round};
use crate::outbound::{pace::NewChat, queue::Allowance};
use futures::future::BoxFuture;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use warren_domain::{InstanceId, Restriction, RestrictionReason, RestrictionScope, Timestamp};
use warren_ports::ledger::{Acquaintance, Op, OwnerLedger};
use whatsapp_rust::Client;

/// How long WhatsApp and the ledger may take to say more about a refusal.
const INQUIRY: Duration = Duration::from_secs(10);
/// Where WhatsApp does not say how long a restriction lasts: the first, and how long at most; it doubles with each that
/// follows within a day.
const FIRST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// WhatsApp tells whole seconds: not on the edge of them.
const MARGIN: Duration = Duration::from_secs(1);
/// No restriction is believed to last longer than this.
const BELIEVED: Duration = Duration::from_secs(90 * 24 * 3_600);

/// How often an account was restricted of late.
#[derive(Debug, Default)]
pub(in crate::instance) struct Relapses {
    count: u32,
    last: Option<Instant>,
}

impl Relapses {
    /// How long to wait this time, where nobody says.
    fn next(&mut self, now: Instant) -> Duration {
        if self.last.is_none_or(|last| now.duration_since(last) > LONGEST) {
            self.count = 0;
        }
        let span = FIRST.saturating_mul(1_u32.checked_shl(self.count.min(20)).unwrap_or(u32::MAX)).min(LONGEST);
        (self.count, self.last) = (self.count.saturating_add(1), Some(now));
        span
    }
}

/// What was found out about a refusal.
pub(super) struct Findings {
    /// Until when new chats are refused, as WhatsApp says.
    until: Option<Timestamp>,
    /// Whether the refused message was for a stranger.
    to_stranger: bool,
    /// Who else in the queue is one.
    strangers: Vec<String>,
}

/// An inquiry that is under way.
pub(super) type Inquiry = Option<BoxFuture<'static, Findings>>;

impl Live<'_> {
    /// What may be begun now.
    pub(super) fn allowance(&mut self) -> Allowance {
        let now = self.actor.now();
        let restriction = self.actor.instance.restriction.filter(|restriction| restriction.restarts_at > now);
        let held = self.inquiry.is_some() || restriction.is_some_and(|held| held.scope == RestrictionScope::All);
        let fresh = match self.actor.pacer.next() {
            _ if held => 0,
            None => usize::MAX,
            Some(next) => usize::from(next <= Instant::now()),
        };
        let under_way = self.queue.strangers_in_flight();
        let strangers = match self.actor.pacer.new_chat(now, under_way) {
            NewChat::Allowed(room) if restriction.is_none() => room,
            _ => 0,
        };
        Allowance { fresh, strangers }
    }

    /// Whether the ledger is to show only what is for people known.
    pub(super) fn only_known(&self) -> bool {
        let now = self.actor.now();
        self.actor.instance.restriction.is_some_and(|restriction| restriction.restarts_at > now)
    }

    /// A message waits for a stranger: if that is because the day's new chats are used up, the account is shown as restricted.
    pub(super) fn stranger_waits(&mut self) -> Round {
        if self.only_known() || self.inquiry.is_some() {
            return None;
        }
        let NewChat::NotBefore(restarts_at) = self.actor.pacer.new_chat(self.actor.now(), self.queue.strangers_in_flight())
        else {
            return None;
        };
        self.restrict(Restriction {
            reason: RestrictionReason::NewChatBudget,
            scope: RestrictionScope::NewChats,
            until: None,
            restarts_at,
        })
    }

    /// The server refused a message because the account may not write to strangers now: asks until when. Nothing new is begun
    /// before that is known.
    pub(super) fn limited(&mut self, whatsapp_id: &str) {
        let Some(refused) = self.queue.in_flight(whatsapp_id) else { return };
        // What was begun before a restriction says nothing that is not known.
        let is_news = self.restricted_since.is_none_or(|since| since < refused.begun);
        if self.inquiry.is_some() || !is_news {
            return;
        }
        // What is being read is not known to be for people known.
        (self.fetch, self.fetch_wanted) = (None, true);
        let (client, ledger) = (self.link.client.clone(), self.actor.shared.ports.ledger.clone());
        let (instance, chat, now) = (self.actor.instance.id, refused.chat.clone(), self.actor.now());
        let mut chats = self.queue.chats();
        chats.push(chat.clone());
        self.inquiry = Some(Box::pin(async move {
            let (until, acquaintance) = tokio::join!(
                tokio::time::timeout(INQUIRY, timelock(&client, now)),
                tokio::time::timeout(INQUIRY, strangers(ledger, instance, chats, now)),
            );
            let (until, acquaintance) = (until.unwrap_or_default(), acquaintance.unwrap_or_default());
            Findings { until, to_stranger: acquaintance.strangers.contains(&chat), strangers: acquaintance.strangers }
        }));
    }

    /// It is known what the server's refusal means.
    pub(super) fn inquired(&mut self, findings: Findings) -> Round {
        self.inquiry = None;
        let now = self.actor.now();
        let restarts_at = match findings.until {
            Some(until) => until.after(MARGIN),
            None => now.after(self.actor.relapses.next(Instant::now())),
        };
        let known_are_refused = !findings.to_stranger;
        let scope = if known_are_refused { RestrictionScope::All } else { RestrictionScope::NewChats };
        self.queue.set_strangers(&[], findings.strangers);
        let reason = RestrictionReason::ReachoutLimit;
        self.restrict(Restriction { reason, scope, until: findings.until, restarts_at })
    }

    fn restrict(&mut self, restriction: Restriction) -> Round {
        let reason = restriction.reason.as_str();
        tracing::warn!(instance = %self.actor.instance.id, reason, "the account may not send everything now");
        self.actor.shared.metrics.restrictions.with_label_values(&[reason]).inc();
        self.restricted_since = Some(Instant::now());
        self.queue.drop_strangers();
        (self.fetch, self.fetch_wanted) = (None, true);
        self.set_restriction(Some(restriction))
    }

    /// Ends a restriction whose time is over, and one that a login disproves. Sets the alarm for one that is not over.
    pub(super) fn review_restriction(&mut self) -> Round {
        let restriction = self.actor.instance.restriction?;
        let left = restriction.restarts_at.since(self.actor.now());
        let is_over = left.is_zero() || restriction.reason == RestrictionReason::TemporaryBan;
        if !is_over {
            self.alarm_within(left.min(LONGEST));
            return None;
        }
        self.restricted_since = None;
        self.fetch_wanted = true;
        self.set_restriction(None)
    }

    fn set_restriction(&mut self, restriction: Option<Restriction>) -> Round {
        self.actor.instance.restriction = restriction;
        let at = self.actor.now();
        let end = self.settle(Op::SetRestriction { restriction, at }, None, None);
        end.or_else(|| self.review_restriction())
    }
}

/// Until when WhatsApp refuses new chats; `None` if it does not say.
async fn timelock(client: &Arc<Client>, now: Timestamp) -> Option<Timestamp> {
    let told = client.mex().fetch_reachout_timelock().await.ok()?;
    let ends: i64 = told.time_enforcement_ends.filter(|_| told.is_active == Some(true))?.parse().ok()?;
    // Seconds since 1970 (whatsapp-rust 0.7 passes on what the server wrote).
    let until = Timestamp::from_millis(ends.checked_mul(1_000)?);
    (until > now && until < now.after(BELIEVED)).then_some(until)
}

async fn strangers(ledger: Arc<dyn OwnerLedger>, instance: InstanceId, chats: Vec<String>, now: Timestamp) -> Acquaintance {
    ledger.acquaintance(instance, &chats, now).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untold_restriction_doubles_within_a_day() {
        let start = Instant::now();
        let mut relapses = Relapses::default();
        let spans: Vec<_> = (0..9).map(|_| relapses.next(start)).collect();
        assert_eq!(spans.first(), Some(&FIRST));
        assert!(spans.windows(2).all(|pair| matches!(pair, [one, two] if *two == (*one * 2).min(LONGEST))));
        assert_eq!(relapses.next(start + LONGEST + Duration::from_secs(1)), FIRST);
    }
}
