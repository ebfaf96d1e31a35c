//! Taking shards, loading their instances, giving shards up.

use crate::{
    instance::{Actor, ActorParts, Handle},
    owner::Owner,
    renewal::Renewal,
    shared::Shared,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warren_domain::{Epoch, ErrorKind, Instance, InstanceId, InstanceState, Shard};
use warren_ports::{
    bus::{Action, Command, Reply, Request, Ring, Topic},
    ledger::{Op, Outcome, RecordKind, Taken, Write},
    placement::{Assignments, Report},
};
use warren_runtime::Lifecycle;

/// Instances whose session state is loaded by one query.
const LOAD_BATCH: usize = 256;
/// How long the instances may take to end at a stop; the process's own grace is longer.
const STOP_GRACE: Duration = Duration::from_secs(18);

/// One owned shard.
struct Owned {
    owner: Arc<Owner>,
    /// Ends its listeners.
    listening: CancellationToken,
}

type Instances = Arc<Mutex<HashMap<InstanceId, Running>>>;

/// A running instance.
#[derive(Clone)]
struct Running {
    shard: Shard,
    handle: Handle,
}

/// All shards of a worker.
pub(crate) struct Shards {
    shared: Arc<Shared>,
    renewal: Renewal,
    owned: BTreeMap<Shard, Owned>,
    registry: Registry,
}

/// The running instances, shared with the listeners.
#[derive(Clone)]
struct Registry {
    shared: Arc<Shared>,
    instances: Instances,
    actors: TaskTracker,
}

impl Shards {
    pub(crate) fn new(shared: Arc<Shared>, renewal: Renewal) -> Self {
        let registry = Registry { shared: shared.clone(), instances: Instances::default(), actors: TaskTracker::new() };
        Self { shared, renewal, owned: BTreeMap::new(), registry }
    }

    /// Follows the assignments until the stop, then ends everything cleanly and gives the shards up.
    pub(crate) async fn run(mut self, lifecycle: &Lifecycle) {
        let mut assignments = self.shared.ports.placement.assignments();
        let mut sweep = tokio::time::interval(Duration::from_millis(self.shared.options.sweep_ms));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        assignments.mark_changed();
        loop {
            tokio::select! {
                () = lifecycle.stopping() => break,
                changed = assignments.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let wanted = assignments.borrow_and_update().clone();
                    self.follow(wanted).await;
                }
                _ = self.renewal.woken.changed() => self.revalidate().await,
                _ = sweep.tick() => self.sweep().await,
            }
        }
        self.stop().await;
    }

    /// Makes what is owned what is assigned.
    async fn follow(&mut self, wanted: Assignments) {
        let dropped = self.held(|owner| wanted.get(&owner.fence().shard) != Some(&owner.fence().epoch));
        if !dropped.is_empty() {
            self.give_up(&dropped).await;
            // Those that come back under a new epoch are not given away.
            let released: Vec<_> = dropped.into_iter().filter(|(shard, _)| !wanted.contains_key(shard)).collect();
            if !released.is_empty() {
                self.shared.ports.placement.report(Report::Released(released)).await;
            }
        }
        let new: Vec<_> = wanted
            .iter()
            .filter(|(shard, _)| !self.owned.contains_key(shard))
            .map(|(shard, epoch)| (*shard, *epoch))
            .collect();
        if !new.is_empty() {
            self.take(&new).await;
        }
        self.shared.metrics.shards_owned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    /// Raises the epochs, and only then loads and connects.
    async fn take(&mut self, shards: &[(Shard, Epoch)]) {
        let started = Instant::now();
        let taken = match self.shared.ports.ledger.take(shards).await {
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
        self.load(raised, started).await;
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

    /// Ends the instances of shards.
    async fn give_up(&mut self, given_up: &[(Shard, Epoch)]) {
        let shards: BTreeSet<_> = given_up.iter().map(|(shard, _)| *shard).collect();
        for shard in &shards {
            if let Some(owned) = self.owned.remove(shard) {
                owned.listening.cancel();
            }
        }
        self.registry.end(|running| shards.contains(&running.shard)).await;
    }

    /// Gives up shards that the ledger refused, and says so: the authority decides what becomes of them.
    async fn lost(&mut self, shards: Vec<(Shard, Epoch)>) {
        if shards.is_empty() {
            return;
        }
        tracing::warn!(shards = shards.len(), "the ledger has another owner for shards of this worker; dropping them");
        self.shared.metrics.ownership_lost.inc_by(shards.len() as u64);
        self.give_up(&shards).await;
        self.shared.ports.placement.report(Report::NotTaken(shards)).await;
    }

    /// After a pause of the process: nothing leaves before the ledger confirmed each epoch.
    async fn revalidate(&mut self) {
        tracing::warn!("this process was paused; checking the epochs before anything is sent");
        let Some(lost) = self.lost_shards().await else { return };
        self.lost(lost).await;
        self.renewal.clock.resume();
    }

    /// Which owned shards somebody else owns by the ledger; `None` if it cannot say.
    async fn lost_shards(&self) -> Option<Vec<(Shard, Epoch)>> {
        let shards = self.held(|_| true);
        // Raising to the own epoch again changes nothing and tells whether a higher one is there.
        let verdicts = match self.shared.ports.ledger.take(&shards).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                tracing::error!(%error, "the epochs could not be checked");
                return None;
            }
        };
        let lost = shards.into_iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Taken::Higher(_)));
        let lost: Vec<_> = lost.map(|(held, _)| held).collect();
        for owned in lost.iter().filter_map(|(shard, _)| self.owned.get(shard)) {
            owned.owner.lose();
        }
        Some(lost)
    }

    /// Finds what no ring announced, and drops shards that were lost under way.
    async fn sweep(&mut self) {
        let lost = self.held(Owner::is_lost);
        self.lost(lost).await;
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

    async fn stop(mut self) {
        let shards = self.held(|_| true);
        for owned in self.owned.values() {
            owned.listening.cancel();
        }
        self.owned.clear();
        self.registry.end(|_| true).await;
        self.shared.ports.placement.report(Report::Released(shards)).await;
    }
}

impl Registry {
    /// Serves the commands and rings of a shard.
    async fn listen(&self, shard: Shard, owner: Arc<Owner>, until: CancellationToken) {
        let mut requests = self.shared.ports.bus.serve(shard).await;
        let mut rings = self.shared.ports.bus.listen(Topic::Outbound(shard)).await;
        let registry = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = until.cancelled() => break,
                    request = requests.recv() => match request {
                        Some(request) => registry.pass_on(shard, &owner, request).await,
                        None => break,
                    },
                    ring = rings.next() => match ring {
                        Some(Ring::Outbound(instance)) => registry.ring(instance),
                        // The sweep finds what was missed.
                        Some(_) => {}
                        None => break,
                    },
                }
            }
        });
    }

    fn running(&self, instance: InstanceId) -> Option<Running> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if instances.get(&instance).is_some_and(|running| running.handle.is_gone()) {
            instances.remove(&instance);
        }
        instances.get(&instance).cloned()
    }

    fn ring(&self, instance: InstanceId) {
        if let Some(running) = self.running(instance) {
            running.handle.ring();
        }
    }

    /// Passes a command to its instance, starting the instance if it was at rest.
    async fn pass_on(&self, shard: Shard, owner: &Arc<Owner>, request: Request) {
        let Request { command, reply } = request;
        if let Some(running) = self.running(command.instance) {
            return running.handle.command(command.action, reply);
        }
        match self.shared.ports.ledger.owned_instance(command.instance).await {
            Ok(Some(instance)) => self.start_and_command(shard, owner, instance, command, reply),
            Ok(None) if command.action == Action::Deleted => {
                self.forget_deleted(owner, &command).await;
                let _ = reply.send(Reply::Accepted);
            }
            Ok(None) => {
                let _ = reply.send(Reply::NotFound);
            }
            // Dropping the reply lets the asker try again.
            Err(error) => tracing::warn!(%error, "an instance could not be read"),
        }
    }

    fn start_and_command(
        &self,
        shard: Shard,
        owner: &Arc<Owner>,
        instance: Instance,
        command: Command,
        reply: oneshot::Sender<Reply>,
    ) {
        let belongs = Shard::of(instance.id, self.shared.ports.shard_count) == shard && instance.tenant == command.tenant;
        if !belongs {
            let _ = reply.send(Reply::NotFound);
            return;
        }
        let handle = self.start(owner.clone(), instance, None, None);
        handle.command(command.action, reply);
    }

    /// A deleted instance that was not running: its keys go at once.
    async fn forget_deleted(&self, owner: &Arc<Owner>, command: &Command) {
        let op = Op::ForgetSession { fail_open: None };
        let write = Write { fence: owner.fence(), tenant: command.tenant, instance: command.instance, op };
        if let Some(Outcome::OwnershipLost | Outcome::LedgerBehind) =
            self.shared.ports.ledger.commit(vec![write]).await.pop()
        {
            owner.lose();
        }
    }

    fn start(&self, owner: Arc<Owner>, instance: Instance, device: Option<Vec<u8>>, data_key: Option<Vec<u8>>) -> Handle {
        let (id, shard) = (instance.id, owner.fence().shard);
        let (handle, mailbox) = Handle::new();
        let parts = ActorParts { shared: self.shared.clone(), owner, instance, mailbox, device, data_key };
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = instances.get(&id).filter(|running| !running.handle.is_gone()) {
            return running.handle.clone();
        }
        instances.insert(id, Running { shard, handle: handle.clone() });
        // Boxed: the state of a connection is large, and most instances are at rest or idle.
        self.actors.spawn(Box::pin(Actor::new(parts).run()));
        handle
    }

    /// Ends the chosen instances, all at once, and waits for them.
    async fn end(&self, chosen: impl Fn(&Running) -> bool) {
        let ending: Vec<_> = {
            let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            let ids: Vec<_> = instances.iter().filter(|(_, running)| chosen(running)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| instances.remove(id)).collect()
        };
        let deadline = Instant::now() + STOP_GRACE;
        let ended = futures::future::join_all(ending.iter().map(|running| running.handle.ended()));
        if tokio::time::timeout_at(deadline.into(), ended).await.is_err() {
            tracing::warn!(instances = ending.len(), "some instances did not end in time");
        }
    }

    /// Says how the start goes, until all are online or nothing changes any more.
    fn report_progress(&self, total: usize, started: Instant) {
        const LONGEST: Duration = Duration::from_secs(600);
        let registry = self.clone();
        tokio::spawn(async move {
            let online = registry.shared.metrics.instances.with_label_values(&[InstanceState::Online.as_str()]);
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                let count = usize::try_from(online.get()).unwrap_or(0);
                tracing::info!(online = count, of = total, "connecting instances");
                if count >= total || started.elapsed() > LONGEST {
                    registry.shared.metrics.failover_seconds.observe(started.elapsed().as_secs_f64());
                    break;
                }
            }
        });
    }
}
