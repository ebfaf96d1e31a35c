//! The figures of a coordinator. What only the leader knows is 0 elsewhere.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use warren_raft::wire::Code;
use warren_runtime::Metrics;

#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) is_leader: IntGauge,
    pub(crate) term: IntGauge,
    pub(crate) applied: IntGauge,
    pub(crate) elections: IntCounter,
    pub(crate) peers_away: IntGauge,
    pub(crate) members: IntGauge,
    pub(crate) attached: IntGauge,
    pub(crate) unassigned: IntGauge,
    pub(crate) moves: IntCounter,
    pub(crate) moves_under_way: IntGauge,
    pub(crate) moves_forced: IntCounter,
    pub(crate) retakes: IntCounter,
    pub(crate) deaths: IntCounterVec,
    pub(crate) lease_store_away: IntGauge,
    pub(crate) commit_seconds: Histogram,
    pub(crate) recovery_seconds: Histogram,
    pub(crate) handshakes: IntGauge,
    pub(crate) handshakes_failed: IntCounterVec,
    refused: IntCounterVec,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let name = |name: &str| format!("warren_coordinator_{name}");
        let gauge = |of: &str, help: &str| metrics.gauge(&name(of), help);
        let counter = |of: &str, help: &str| metrics.counter(&name(of), help);
        Self {
            is_leader: gauge("is_leader", "1 while this coordinator leads and decides."),
            term: gauge("term", "The term that this coordinator knows."),
            applied: gauge("applied_index", "The index of the last entry that this coordinator applied."),
            elections: counter("elections_total", "How often another leader was seen."),
            peers_away: gauge("peers_away", "Other coordinators that do not answer this one."),
            members: gauge("members", "Workers that are there, as the leader sees it."),
            attached: gauge("attached_workers", "Workers with a stream to this leader."),
            unassigned: gauge("shards_unassigned", "Shards that nobody has, as the leader sees it."),
            moves: counter("moves_total", "Shards that were moved for balance or because a worker stops."),
            moves_under_way: gauge("moves_under_way", "Shards that are being moved."),
            moves_forced: counter("moves_forced_total", "Shards that were moved on although their worker never released them."),
            retakes: counter("retakes_total", "Shards that were assigned anew because they could not be taken."),
            deaths: metrics.counters(
                &name("deaths_total"),
                "Workers that are gone: `stream` crashed, `lease` stopped or cut off, `replaced` by a later start, `left` cleanly.",
                &["reason"],
            ),
            lease_store_away: gauge("lease_store_away", "1 while the lease store does not answer the leader."),
            commit_seconds: metrics.seconds(&name("commit_seconds"), "How long the group takes to agree on an entry."),
            recovery_seconds: metrics.seconds(
                &name("recovery_seconds"),
                "How long shards without a worker were without one, until the last of them was served.",
            ),
            handshakes: gauge("handshakes", "TLS handshakes under way."),
            handshakes_failed: metrics.counters(
                &name("handshakes_failed_total"),
                "TLS handshakes that came to nothing: `late` took too long or had no turn in time, `broken` failed.",
                &["reason"],
            ),
            refused: metrics.counters(&name("refused_calls_total"), "Calls that were refused, by reason.", &["reason"]),
        }
    }

    pub(crate) fn refuse(&self, code: Code) {
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// The leader has ended: what it knew is nobody's here.
    pub(crate) fn abdicate(&self) {
        for gauge in
            [&self.is_leader, &self.members, &self.attached, &self.unassigned, &self.moves_under_way, &self.lease_store_away]
        {
            gauge.set(0);
        }
    }
}
