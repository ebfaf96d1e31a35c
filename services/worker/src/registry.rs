//! The running instances of a worker: who is asked, rung, started and ended.

use crate::{
    instance::{Actor, ActorParts, Handle},
    owner::Owner,
    shared::Shared,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warren_domain::{Instance, InstanceId, InstanceState, Shard};
use warren_ports::{
    bus::{Action, Command, Reply, Request, Ring, Topic},
    ledger::{Op, Outcome, Write},
};

/// How long instances may take to end; the process's own grace is longer.
const END_GRACE: Duration = Duration::from_secs(18);

type Instances = Arc<Mutex<HashMap<InstanceId, Running>>>;

/// A running instance.
#[derive(Clone)]
struct Running {
    shard: Shard,
    handle: Handle,
}

/// The running instances, shared with the listeners.
#[derive(Clone)]
pub(crate) struct Registry {
    shared: Arc<Shared>,
    instances: Instances,
    actors: TaskTracker,
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, instances: Instances::default(), actors: TaskTracker::new() }
    }

    /// Serves the commands and rings of a shard.
    pub(crate) async fn listen(&self, shard: Shard, owner: Arc<Owner>, until: CancellationToken) {
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

    pub(crate) fn ring(&self, instance: InstanceId) {
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

    pub(crate) fn start(
        &self,
        owner: Arc<Owner>,
        instance: Instance,
        device: Option<Vec<u8>>,
        data_key: Option<Vec<u8>>,
    ) -> Handle {
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

    /// Ends the instances of these shards, all at once, and waits for them.
    pub(crate) async fn end(&self, shards: &BTreeSet<Shard>) {
        let ending: Vec<_> = {
            let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            let ids: Vec<_> =
                instances.iter().filter(|(_, running)| shards.contains(&running.shard)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| instances.remove(id)).collect()
        };
        let ended = futures::future::join_all(ending.iter().map(|running| running.handle.ended()));
        if tokio::time::timeout(END_GRACE, ended).await.is_err() {
            tracing::warn!(instances = ending.len(), "some instances did not end in time");
        }
    }

    /// Says how the start goes, until all are online or nothing changes any more.
    pub(crate) fn report_progress(&self, total: usize, started: Instant) {
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
