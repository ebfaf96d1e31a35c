//! The worker's metrics.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use warren_domain::InstanceState;
use warren_runtime::Metrics;

/// Handles to the worker's metrics.
pub(crate) struct WorkerMetrics {
    pub(crate) instances: IntGaugeVec,
    pub(crate) shards_owned: IntGauge,
    pub(crate) sends: IntCounterVec,
    pub(crate) send_seconds: HistogramVec,
    pub(crate) inbound_messages: IntCounter,
    pub(crate) lost_inbound: IntCounter,
    pub(crate) signals_dropped: IntCounter,
    pub(crate) ownership_lost: IntCounter,
    pub(crate) turn_seconds: Histogram,
    pub(crate) unsure: IntGauge,
    pub(crate) replaced: IntCounter,
    pub(crate) poisoned: IntCounterVec,
    pub(crate) connects: IntCounterVec,
    pub(crate) logins_waiting: IntGaugeVec,
    pub(crate) failover_seconds: Histogram,
    pub(crate) outbound_queue: IntGauge,
    pub(crate) resends: IntCounterVec,
    pub(crate) restrictions: IntCounterVec,
    pub(crate) number_checks: IntCounterVec,
    pub(crate) media: IntCounterVec,
}

impl WorkerMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let made = Self {
            instances: metrics.gauges("warren_instances", "Instances owned, by state.", &["state"]),
            shards_owned: metrics.gauge("warren_shards_owned", "Shards owned by this worker."),
            sends: metrics.counters("warren_sends_total", "Outbound messages that left the queue, by result.", &["result"]),
            send_seconds: metrics.seconds_by(
                "warren_send_seconds",
                "From accepting a message to handing it to the wire (hand), and from there to the server's ack (ack).",
                &["hop"],
            ),
            inbound_messages: metrics.counter("warren_inbound_messages_total", "Inbound messages committed."),
            lost_inbound: metrics.counter(
                "warren_inbound_lost_total",
                "Inbound messages whose key was used and whose text is nowhere; each is an event message.undecryptable.",
            ),
            signals_dropped: metrics.counter(
                "warren_signals_dropped_total",
                "Library events dropped because an instance's queue was full; its connection is rebuilt.",
            ),
            ownership_lost: metrics
                .counter("warren_ownership_lost_total", "Shards dropped because the ledger refused their epoch."),
            unsure: metrics.gauge(
                "warren_worker_unsure",
                "1 while this worker sends nothing, because the ledger cannot say whether its shards are still its own.",
            ),
            turn_seconds: metrics.seconds(
                "warren_worker_turn_seconds",
                "How long a task of the worker that was ready waited for its turn, seen four times a second.",
            ),
            replaced: metrics.counter("warren_replaced_total", "Connections kicked by another login of the same device."),
            poisoned: metrics.counters("warren_sessions_given_up_total", "Clients given up, by cause.", &["cause"]),
            connects: metrics.counters("warren_connects_total", "Connection attempts that ended, by how.", &["ending"]),
            logins_waiting: metrics.gauges(
                "warren_logins_waiting",
                "Instances that wait, by for what: their turn to connect (turn), or work that comes after all of these (later).",
                &["for"],
            ),
            failover_seconds: metrics
                .seconds("warren_failover_seconds", "From owning a shard to the last of its instances online."),
            outbound_queue: metrics.gauge("warren_outbound_queue", "Open outbound messages held in memory."),
            restrictions: metrics.counters(
                "warren_restrictions_total",
                "Times an account could not send everything for a while, by reason.",
                &["reason"],
            ),
            number_checks: metrics.counters(
                "warren_number_checks_total",
                "Numbers that WhatsApp was asked about, by what it said.",
                &["result"],
            ),
            resends: metrics.counters("warren_resends_total", "Repeated sends, by kind.", &["kind"]),
            media: metrics.counters(
                "warren_media_total",
                "Attempts to bring a file to WhatsApp (out), or here (in), by result: ready, failed, later.",
                &["way", "result"],
            ),
        };
        for state in InstanceState::ALL {
            made.instances.with_label_values(&[state.as_str()]).set(0);
        }
        made
    }
}
