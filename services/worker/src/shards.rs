//! Taking shards, loading their instances, giving shards up.
//!
//! What is taken is never held up by what is given up: shards leave in tasks of their own. A shard that comes back under a new
//! epoch is taken once everything of its former epoch has ended, because memory belongs to one epoch.

use crate::{owner::Owner, registry::Registry, renewal::Renewal, shared::Shared};
use futures::future::OptionFuture;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, sleep_until},
};
use tokio_util::sync::CancellationToken;
use warren_domain::{Epoch, ErrorKind, Instance, InstanceId, InstanceState, Result, Shard};
use warren_ports::{
    ledger::{RecordKind, Taken},
    placement::{Assignments, Report},
};
use warren_runtime::Lifecycle;

/// Instances whose session state is loaded by one query.
const LOAD_BATCH: usize = 256;
/// How long a stop waits for others to take the shards; whoever is left then ends here and waits for its next owner there.
const DRAIN_GRACE: Duration = Duration::from_secs(15);
/// How often raising the epochs is tried before the shards are reported as not taken. Each try is bounded by the store.
const TAKE_ATTEMPTS: u32 = 3;
/// The pause before the ledger is asked again about epochs that it could say nothing of.
const CHECK_AGAIN: Duration = Duration::from_millis(500);

/// One owned shard.
struct Owned {
    owner: Arc<Owner>,
    /// Ends its listeners.
    listening: CancellationToken,
}

/// All shards of a worker.
pub(crate) struct Shards {
    shared: Arc<Shared>,
    renewal: Renewal,
    /// When the ledger is asked again whether the epochs are still this worker's, which it could not say.
    check_at: Option<Instant>,
    owned: BTreeMap<Shard, Owned>,
    /// Shards whose instances are ending, and under what.
    leaving: BTreeMap<Shard, Arc<Owner>>,
    /// One task for each set of shards that leave together.
    departures: JoinSet<Vec<(Shard, Epoch)>>,
    registry: Registry,
}

impl Shards {
    pub(crate) fn new(shared: Arc<Shared>, renewal: Renewal) -> Self {
        let registry = Registry::new(shared.clone());
        Self {
            shared,
            renewal,
            check_at: None,
            owned: BTreeMap::new(),
            leaving: BTreeMap::new(),
            departures: JoinSet::new(),
            registry,
        }
    }

    /// Follows the assignments until the stop, then hands the shards over and ends what is left.
    pub(crate) async fn run(mut self, lifecycle: &Lifecycle) {
        let mut assignments = self.shared.ports.placement.assignments();
        let mut sweep = tokio::time::interval(Duration::from_millis(self.shared.options.sweep_ms));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        assignments.mark_changed();
        let clock = self.renewal.clock.clone();
        let mut drained_by: Option<Instant> = None;
        loop {
            let is_empty = self.owned.is_empty() && self.leaving.is_empty();
            if drained_by.is_some_and(|deadline| is_empty || Instant::now() > deadline) {
                break;
            }
            tokio::select! {
                // In this order: what was lost is dropped before anything else is done. All of it comes rarely.
                biased;
                Ok(()) = self.renewal.woken.changed() => {
                    tracing::warn!("this process stood still; checking the epochs before anything is sent");
                    self.revalidate().await;
                }
                Some(()) = OptionFuture::from(self.check_at.map(|at| sleep_until(at.into()))) => self.revalidate().await,
                () = clock.loss() => self.drop_lost().await,
                () = lifecycle.stopping(), if drained_by.is_none() => {
                    drained_by = Some(Instant::now() + DRAIN_GRACE);
                    self.shared.ports.placement.report(Report::Draining).await;
                }
                changed = assignments.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let wanted = assignments.borrow_and_update().clone();
                    self.follow(&wanted).await;
                }
                Some(departed) = self.departures.join_next() => {
                    let wanted = assignments.borrow_and_update().clone();
                    self.departed(departed.unwrap_or_default(), &wanted).await;
                }
                _ = sweep.tick() => self.sweep().await,
            }
        }
        self.end().await;
    }

    /// Makes what is owned what is assigned.
    async fn follow(&mut self, wanted: &Assignments) {
        let dropped = self.held(|owner| wanted.get(&owner.fence().shard) != Some(&owner.fence().epoch));
        self.give_up(dropped);
        let new: Vec<_> = wanted
            .iter()
            .filter(|(shard, _)| !self.owned.contains_key(shard) && !self.leaving.contains_key(shard))
            .map(|(shard, epoch)| (*shard, *epoch))
            .collect();
        if !new.is_empty() {
            self.take(&new).await;
        }
        self.shared.metrics.shards_owned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    /// Everything of these shards has ended. Those that were taken away are released; those that came back under another epoch
    /// can be taken now.
    async fn departed(&mut self, departed: Vec<(Shard, Epoch)>, wanted: &Assignments) {
        for (shard, _) in &departed {
            self.leaving.remove(shard);
        }
        let released: Vec<_> = departed.into_iter().filter(|(shard, _)| !wanted.contains_key(shard)).collect();
        if !released.is_empty() {
            self.shared.ports.placement.report(Report::Released(released)).await;
        }
        self.follow(wanted).await;
    }

    /// Raises the epochs, and only then loads and connects.
    async fn take(&mut self, shards: &[(Shard, Epoch)]) {
        let started = Instant::now();
        let taken = match self.raise(shards).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, shards = shards.len(), "shards could not be taken");
                return self.shared.ports.placement.report(Report::NotTaken(shards.to_vec())).await;
            }
        };
        let mut raised = Vec::new();
        let mut refused = Vec::new();
        for ((shard, epoch), verdict) in shards.iter().zip(taken) {
            match verdict {
                Taken::Raised => raised.push((*shard, *epoch)),
                Taken::Higher(_) => refused.push((*shard, *epoch)),
            }
        }
        if !refused.is_empty() {
            self.shared.ports.placement.report(Report::NotTaken(refused)).await;
        }
        for (shard, epoch) in &raised {
            let owner = Owner::new(*shard, *epoch, self.renewal.clock.clone());
            let listening = CancellationToken::new();
            self.registry.listen(*shard, owner.clone(), listening.clone()).await;
            self.owned.insert(*shard, Owned { owner, listening });
        }
        let served = raised.clone();
        self.load(raised, started).await;
        if !served.is_empty() {
            self.shared.ports.placement.report(Report::Taken(served)).await;
        }
    }

    /// Raises the epochs in the ledger, and again if it could not say what came of it.
    async fn raise(&self, shards: &[(Shard, Epoch)]) -> Result<Vec<Taken>> {
        let mut attempt = 1;
        loop {
            match self.shared.ports.ledger.take(shards).await {
                Err(error) if error.kind == ErrorKind::Unavailable && attempt < TAKE_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    /// Loads the instances of new shards, in bulk, and starts them, the recently active first.
    async fn load(&self, taken: Vec<(Shard, Epoch)>, started: Instant) {
        let shards: Vec<_> = taken.iter().map(|(shard, _)| *shard).collect();
        let instances = match self.shared.ports.ledger.instances_of(&shards).await {
            Ok(instances) => instances,
            Err(error) => {
                tracing::error!(%error, "the instances of new shards could not be loaded; giving the shards back");
                return self.shared.ports.placement.report(Report::NotTaken(taken)).await;
            }
        };
        let to_start: Vec<_> = instances
            .into_iter()
            .filter(|instance| instance.state.reconnects() || instance.state == InstanceState::Pairing)
            .collect();
        if to_start.is_empty() {
            return;
        }
        let total = to_start.len();
        for batch in to_start.chunks(LOAD_BATCH) {
            let ids: Vec<_> = batch.iter().map(|instance| instance.id).collect();
            let mut devices = self.load_kind(&ids, RecordKind::Device).await;
            let mut keys = self.load_kind(&ids, RecordKind::DataKey).await;
            for instance in batch {
                let Some(owned) = self.owner_of(instance) else { continue };
                let (device, key) = (devices.remove(&instance.id), keys.remove(&instance.id));
                self.registry.start(owned, instance.clone(), device, key);
            }
        }
        self.registry.report_progress(total, started);
    }

    async fn load_kind(&self, ids: &[InstanceId], kind: RecordKind) -> HashMap<InstanceId, Vec<u8>> {
        match self.shared.ports.ledger.records_of(ids, kind).await {
            Ok(records) => records.into_iter().map(|(id, record)| (id, record.value)).collect(),
            Err(error) => {
                // Each instance reads its own then.
                tracing::warn!(%error, "session state could not be loaded in bulk");
                HashMap::new()
            }
        }
    }

    fn owner_of(&self, instance: &Instance) -> Option<Arc<Owner>> {
        let shard = Shard::of(instance.id, self.shared.ports.shard_count);
        self.owned.get(&shard).map(|owned| owned.owner.clone())
    }

    /// The chosen shards that are owned, with their epochs.
    fn held(&self, chosen: impl Fn(&Owner) -> bool) -> Vec<(Shard, Epoch)> {
        let fences = self.owned.values().filter(|owned| chosen(&owned.owner)).map(|owned| owned.owner.fence());
        fences.map(|fence| (fence.shard, fence.epoch)).collect()
    }

    /// Stops listening for these shards and begins to end their instances; they have left when [`Self::departed`] hears of it.
    fn give_up(&mut self, shards: Vec<(Shard, Epoch)>) {
        if shards.is_empty() {
            return;
        }
        let mut owners = Vec::new();
        for (shard, _) in &shards {
            if let Some(owned) = self.owned.remove(shard) {
                owned.listening.cancel();
                self.leaving.insert(*shard, owned.owner.clone());
                owners.push(owned.owner);
            }
        }
        let registry = self.registry.clone();
        self.departures.spawn(async move {
            let leaving: BTreeSet<_> = shards.iter().map(|(shard, _)| *shard).collect();
            registry.end(&leaving).await;
            // Nothing acts under these epochs any more: neither who did not end in time, nor whom a command has just started.
            owners.iter().for_each(|owner| owner.lose());
            registry.end(&leaving).await;
            shards
        });
        self.shared.metrics.shards_owned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    /// Gives up shards whose epoch the ledger refused, and says so: the authority decides what becomes of them.
    async fn drop_lost(&mut self) {
        let behind = self.held(|owner| owner.is_lost() && owner.is_ledger_behind());
        let lost = self.held(|owner| owner.is_lost() && !owner.is_ledger_behind());
        let count = behind.len() + lost.len();
        if count == 0 {
            return;
        }
        tracing::warn!(shards = count, "the ledger refused this worker's epochs; dropping the shards");
        self.shared.metrics.ownership_lost.inc_by(count as u64);
        for (shards, report) in [(behind, Report::LedgerBehind as fn(_) -> _), (lost, Report::NotTaken)] {
            if !shards.is_empty() {
                self.give_up(shards.clone());
                self.shared.ports.placement.report(report(shards)).await;
            }
        }
    }

    /// After a gap in which somebody may have taken over: nothing leaves before the ledger confirmed each epoch.
    async fn revalidate(&mut self) {
        let gaps = self.renewal.clock.gaps();
        // What was about to end has ended with the gap: whether somebody has it already is not asked.
        self.leaving.values().for_each(|owner| owner.lose());
        let is_checked = self.find_lost().await;
        if is_checked {
            self.renewal.clock.resume(gaps);
        }
        self.check_at = (!is_checked).then(|| Instant::now() + CHECK_AGAIN);
        self.shared.metrics.unsure.set(i64::from(!is_checked));
        self.drop_lost().await;
    }

    /// Marks the owned shards that somebody else owns by the ledger; `false` if it cannot say.
    async fn find_lost(&self) -> bool {
        let shards = self.held(|_| true);
        // Raising to the own epoch again changes nothing and tells whether a higher one is there.
        let verdicts = match self.shared.ports.ledger.take(&shards).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                tracing::error!(%error, "the epochs could not be checked; nothing is sent until they are");
                return false;
            }
        };
        let lost = shards.iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Taken::Higher(_)));
        for owned in lost.filter_map(|((shard, _), _)| self.owned.get(shard)) {
            owned.owner.lose();
        }
        true
    }

    /// Finds what no ring announced, and drops shards that were lost under way.
    async fn sweep(&mut self) {
        self.drop_lost().await;
        let shards: Vec<_> = self.owned.keys().copied().collect();
        match self.shared.ports.ledger.instances_with_open_messages(&shards).await {
            Ok(instances) => {
                self.shared.metrics.outbound_queue.set(i64::try_from(instances.len()).unwrap_or(i64::MAX));
                for instance in instances {
                    self.registry.ring(instance);
                }
            }
            Err(error) if error.kind == ErrorKind::Unavailable => {}
            Err(error) => tracing::warn!(%error, "the sweep for open messages failed"),
        }
    }

    /// Ends what is left, releases it, and lets the lease go.
    async fn end(mut self) {
        let left = self.held(|_| true);
        if !left.is_empty() {
            tracing::warn!(shards = left.len(), "nobody took these shards in time; ending them here");
        }
        self.give_up(left);
        while let Some(departed) = self.departures.join_next().await {
            self.shared.ports.placement.report(Report::Released(departed.unwrap_or_default())).await;
        }
        self.renewal.end().await;
    }
}
