//! The end of a run: the cluster heals by itself, and every invariant is held against what happened.

use super::failed_sends::FailedSends;
use super::logins::Logins;
use super::outcome::Outcome;
use super::trial::Trial;
use crate::history::{History, Throughput};
use crate::invariant::{Invariant, check};
use crate::load::{Kind, Record};
use crate::witness::{Follower, ownership};
use anyhow::{Context as _, Result};
use rand::RngExt as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Calls that took longer do not count as throughput.
const ON_TIME: Duration = Duration::from_secs(5);

impl Trial<'_> {
    /// Lets the cluster heal by itself, then checks everything.
    pub(super) async fn verify(mut self) -> Result<Outcome> {
        let fault = self.struck()?;
        let looks = self.scene.stranger.look_meanwhile(&self.scene.fleet);
        self.heal(fault).await?;
        let healed = Instant::now();
        sleep(self.scene.scale.steady).await;
        let ended = Instant::now();
        self.load.finish().await?;
        self.latencies(fault, healed, ended)?;
        let record = self.load.take();
        self.outcome.calls(&self.load.counts(), record.failures.clone());
        if !self.scene.settled(&record).await? {
            self.outcome.violations.push("not everything settled in time".to_owned());
        }
        let probes = self.probe().await?;
        let mut history = self.history(&record, &probes).await?;
        history.looks.extend(looks.await.context("the stranger")?);
        let steady = (self.began.at + Duration::from_millis(500), fault);
        history.throughput = Some(self.throughput(steady, (healed, ended), fault));
        self.measure("taken_per_s_before", self.watch.throughput(steady.0, steady.1));
        self.measure("taken_per_s_after", self.watch.throughput(healed, ended));
        history.memory = self.watch.memory(fault);
        // The probes come after the record's.
        let accepted = record.sent.iter().map(|sent| Some(sent.accepted)).chain(std::iter::repeat(None));
        let failed = FailedSends::of(history.sends.iter().zip(accepted), healed);
        (self.outcome.failed_sends, self.outcome.sends_in_doubt) = (failed.inexcusable, failed.in_doubt);
        self.conclude(&history).await?;
        Ok(self.outcome)
    }

    /// Waits until every shard is owned and everybody connected; notes how long each took.
    async fn heal(&mut self, fault: Instant) -> Result<()> {
        self.scene.cluster.owned().await?;
        self.scene.connected().await?;
        let deaths = self.watch.figures_at(fault).map_or(0.0, |figures| figures.deaths);
        let since = |at: Instant| at.saturating_duration_since(fault).as_secs_f64();
        let detected = self.watch.first_figures(fault, |figures| figures.deaths > deaths + 0.5);
        self.outcome.detected_s = detected.map(since);
        if let Some(detected) = detected {
            let shards = f64::from(self.scene.cluster.shard_count());
            let all_owned = self.watch.first_figures(detected, |figures| figures.owned > shards - 0.5);
            self.outcome.reassigned_s = all_owned.map(since);
        }
        if self.outcome.hit > 0 {
            let (logins, open) = (self.before.logins + self.outcome.hit, self.before.connections_open);
            let all = self.watch.first_stats(fault, |now| now.logins >= logins && now.connections_open >= open);
            self.outcome.last_connected_s = all.map(since);
        }
        Ok(())
    }

    fn latencies(&mut self, fault: Instant, healed: Instant, ended: Instant) -> Result<()> {
        for (name, from, until) in [("before", self.began.at, fault), ("during", fault, healed), ("after", healed, ended)] {
            for (kind, what) in [(Kind::Accepted, "accepted"), (Kind::Sent, "sent"), (Kind::Asked, "asked")] {
                let quantiles = self.load.latencies().between(from, until, kind)?;
                self.outcome.latency(&format!("{what}_{name}"), &quantiles);
            }
        }
        Ok(())
    }

    /// A text in each direction in chats of every part of the fleet.
    async fn probe(&mut self) -> Result<Record> {
        let chats = self.scene.fleet.chats.len();
        let wanted = self.scene.scale.probes.min(chats);
        let step = (chats / wanted.max(1)).max(1);
        let chosen: Vec<_> = (0..chats).step_by(step).take(wanted).collect();
        let probes = self.load.probe(&chosen, self.rng.random()).await;
        if probes.sent.len() < chosen.len() || probes.written.len() < chosen.len() {
            self.outcome.violations.push(format!("not every probe was accepted: {:?}", probes.failures));
        }
        self.scene.settled(&probes).await?;
        Ok(probes)
    }

    async fn history(&mut self, record: &Record, probes: &Record) -> Result<History> {
        let scene = &mut *self.scene;
        let mut history = scene.witness.history(record, probes, &self.mark).await?;
        let mut followers: Vec<(usize, &dyn Follower)> = vec![(0, &scene.stream), (0, &scene.receiver)];
        if scene.has_bystander {
            followers.push((0, scene.bystander.as_ref()));
        }
        scene.witness.readers(&mut history, &followers, scene.scale.patience).await?;
        history.looks = scene.stranger.look(&scene.fleet, record).await;
        history.ownership = ownership(&scene.cluster.servers.ledger, self.began.since_1970_ms).await?;
        history.ownership.replaced_at_most = self.replaced_at_most;
        let stats = scene.place.simulator.stats().await?;
        history.ownership.replaced = stats.replaced.saturating_sub(self.began.stats.replaced);
        Ok(history)
    }

    fn throughput(&self, steady: (Instant, Instant), healed: (Instant, Instant), fault: Instant) -> Throughput {
        let rate = |(from, until)| self.load.latencies().rate(from, until, ON_TIME);
        Throughput {
            steady_per_s: rate(steady),
            healed_per_s: rate(healed),
            healed_after: healed.0.saturating_duration_since(fault),
        }
    }

    /// Turns what was seen into figures.
    async fn conclude(&mut self, history: &History) -> Result<()> {
        let violations = check(history);
        let fault = self.struck()?;
        let deaths = |at| self.watch.figures_at(at).map_or(0.0, |figures| figures.deaths);
        // Since the fault: some faults restart processes to lead up to it.
        let died = deaths(Instant::now()) - deaths(fault);
        let count = |invariants: &[Invariant]| {
            violations.iter().filter(|violation| invariants.contains(&violation.invariant)).count() as u64
        };
        let outcome = &mut self.outcome;
        outcome.measured.insert("workers_taken_for_dead".to_owned(), died);
        if self.deaths_at_most.is_some_and(|most| died > f64::from(most) + 0.5) {
            outcome.violations.push(format!("{died} workers were taken for dead"));
        }
        outcome.acked = history.sends.len() as u64;
        outcome.emitted = history.emitted.len() as u64;
        outcome.lost = count(&[Invariant::I1, Invariant::I4]);
        outcome.visible_duplicates = count(&[Invariant::I2a, Invariant::I2b]);
        outcome.wire_resends = history.taken.iter().map(|taken| u64::from(taken.copies.saturating_sub(1))).sum();
        let sessions = &history.sessions;
        outcome.undecryptable = sessions.undecryptable_inbound + sessions.undecryptable_outbound + sessions.retry_receipts;
        outcome.replaced = history.ownership.replaced;
        let recovered = history.logged.iter().filter(|logged| logged.recovered).count();
        outcome.measured.insert("told_by_the_own_phone".to_owned(), recovered as f64);
        let worker = history.memory.iter().find(|memory| memory.kind == "worker");
        outcome.worst_worker_memory = worker.map_or(0, |memory| memory.worst);
        outcome.worst_webhook_lag_s = self.watch.worst_webhook_lag();
        outcome.violations.extend(violations.iter().map(ToString::to_string));
        let simulator = &self.scene.place.simulator;
        let logins = simulator.stats().await?.logins.saturating_sub(self.before.logins);
        outcome.disconnects = logins.saturating_sub(outcome.hit);
        if let Some(before) = &self.logins {
            let needless = Logins::now(self.scene).await?.since(before);
            (outcome.needless, outcome.disconnected) = (needless.count(), needless.to_string());
            outcome.most_logins = needless.most;
        }
        let mut gaps: Vec<_> = simulator.gaps(self.began.gaps).await?.0;
        gaps.sort_unstable();
        outcome.gap_worst_ms = gaps.last().copied();
        outcome.gap_p99_ms = gaps.get((gaps.len() * 99).div_ceil(100).saturating_sub(1)).copied();
        for (which, now) in self.scene.counted().await {
            let before = self.began.counted.get(&which).copied().unwrap_or(0.0);
            // A counter that is smaller belongs to a later start.
            let since = if now >= before { now - before } else { now };
            if since > 0.0 {
                *outcome.counted.entry(which.1).or_default() += since;
            }
        }
        outcome.stale_writes_refused = outcome.counted.get("warren_ownership_lost_total").map_or(0, |count| *count as u64);
        Ok(())
    }
}
