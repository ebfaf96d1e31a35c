//! A worker: renews its lease, takes what is assigned, gives up what vanishes. In a thread with a runtime of its own, so that it
//! can be stopped like a process, sockets open, and killed like one.

use super::{LeaseStore, Ledger};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use warren_domain::{Epoch, Shard};
use warren_ports::{
    lease::{Incarnation, Leases as _},
    placement::{Assignments, Placement as _, Report},
};
use warren_raft::{Attachment, ClientOptions, RaftPlacement};
use warren_runtime::Apart;

const TTL: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_millis(500);

/// How a worker behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    /// How long it takes to finish what is under way before it releases.
    pub(crate) flush: Duration,
    /// How long it takes to take shards.
    pub(crate) load: Duration,
    /// Whether it says what it has taken.
    pub(crate) says_taken: bool,
    /// Whether it can take anything.
    pub(crate) takes: bool,
    /// Whether it follows the leader on a thread apart, which goes on while the worker is paused.
    pub(crate) apart: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(20),
            load: Duration::from_millis(20),
            says_taken: true,
            takes: true,
            apart: false,
        }
    }
}

/// Dropped, it is killed.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    ledger: Ledger,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    assignments: watch::Receiver<Assignments>,
    attachment: watch::Receiver<Attachment>,
}

#[derive(Default)]
struct Shared {
    kill: Notify,
    drain: Notify,
    /// Whether the thread is to stand still.
    paused: Mutex<bool>,
    resumed: Condvar,
    /// Rung to make the thread look at `paused`.
    pause: Notify,
    /// Whether the lease is not renewed.
    silent: Mutex<bool>,
}

impl Worker {
    pub(crate) fn start(options: ClientOptions, leases: LeaseStore, ledger: Ledger, behaviour: Behaviour) -> Self {
        let shared = Arc::new(Shared::default());
        let (name, incarnation) = (options.worker.clone(), options.incarnation);
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn({
            let (shared, ledger) = (Arc::clone(&shared), ledger.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let apart = behaviour.apart.then(|| Apart::start("apart").unwrap());
                runtime.block_on(async {
                    let streams = apart.as_ref().map_or_else(Handle::current, Apart::handle);
                    let placement = RaftPlacement::connect_apart(options.clone(), &streams).unwrap();
                    sender.send((placement.assignments(), placement.attachment())).unwrap();
                    let process = Process { options, placement, leases, ledger, behaviour, shared: Arc::clone(&shared) };
                    tokio::select! {
                        () = process.run() => {}
                        () = process.renew() => {}
                        () = shared.kill.notified() => {}
                        () = shared.stand_still() => {}
                    }
                });
                // Sockets close; nothing is said.
                runtime.shutdown_background();
            }
        });
        let (assignments, attachment) = receiver.recv().unwrap();
        Self { name, incarnation, ledger, shared, thread: Some(thread), assignments, attachment }
    }

    /// What the ledger knows it as.
    pub(crate) fn id(&self) -> String {
        id(&self.name, self.incarnation)
    }

    /// What it is to own, by the placement.
    pub(crate) fn assigned(&self) -> BTreeMap<Shard, Epoch> {
        BTreeMap::clone(&self.assignments.borrow())
    }

    pub(crate) fn attachment(&self) -> Attachment {
        *self.attachment.borrow()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// SIGSTOP: its sockets stay open, and nothing is sent or read.
    pub(crate) fn pause(&self) {
        *self.shared.paused.lock().unwrap() = true;
        self.shared.pause.notify_one();
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        *self.shared.paused.lock().unwrap() = false;
        self.shared.resumed.notify_all();
    }

    /// SIGTERM; returns when the process has ended.
    pub(crate) async fn stop(mut self) {
        self.shared.drain.notify_one();
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    }

    /// It reaches the lease store no more, or again.
    pub(crate) fn set_silent(&self, silent: bool) {
        *self.shared.silent.lock().unwrap() = silent;
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.resume();
            self.shared.kill.notify_one();
            thread.join().unwrap();
            self.ledger.crash(&self.id());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// Blocks the only thread of the worker for as long as it is paused.
    async fn stand_still(&self) {
        loop {
            self.pause.notified().await;
            let mut paused = self.paused.lock().unwrap();
            while *paused {
                paused = self.resumed.wait(paused).unwrap();
            }
        }
    }
}

fn id(name: &str, incarnation: Incarnation) -> String {
    format!("{name}#{}", incarnation.0)
}

struct Process {
    options: ClientOptions,
    placement: RaftPlacement,
    leases: LeaseStore,
    ledger: Ledger,
    behaviour: Behaviour,
    shared: Arc<Shared>,
}

impl Process {
    async fn renew(&self) {
        let mut tick = tokio::time::interval(PERIOD);
        loop {
            tick.tick().await;
            if !*self.shared.silent.lock().unwrap() {
                // An owner serves on when the lease store is away.
                let _ = self.leases.renew(&self.options.worker, self.options.incarnation, TTL).await;
            }
        }
    }

    async fn run(&self) {
        let mut assignments = self.placement.assignments();
        assignments.mark_changed();
        let mut held: BTreeMap<Shard, Epoch> = BTreeMap::new();
        let mut is_draining = false;
        loop {
            if is_draining && held.is_empty() {
                break;
            }
            tokio::select! {
                () = self.shared.drain.notified(), if !is_draining => {
                    is_draining = true;
                    self.placement.report(Report::Draining).await;
                }
                changed = assignments.changed() => {
                    changed.unwrap();
                    let wanted = assignments.borrow_and_update().clone();
                    self.follow(&mut held, &wanted).await;
                }
            }
        }
        let _ = self.leases.release(&self.options.worker, self.options.incarnation).await;
        self.placement.close().await;
    }

    async fn follow(&self, held: &mut BTreeMap<Shard, Epoch>, wanted: &Assignments) {
        let dropped: Vec<_> =
            held.iter().filter(|(shard, epoch)| wanted.get(shard) != Some(epoch)).map(|(s, e)| (*s, *e)).collect();
        if !dropped.is_empty() {
            for (shard, epoch) in &dropped {
                held.remove(shard);
                self.ledger.give_up(&id(&self.options.worker, self.options.incarnation), *shard, *epoch);
            }
            tokio::time::sleep(self.behaviour.flush).await;
            let released = dropped.into_iter().filter(|(shard, _)| !wanted.contains_key(shard)).collect();
            self.placement.report(Report::Released(released)).await;
        }
        let new: Vec<_> = wanted.iter().filter(|(shard, _)| !held.contains_key(shard)).map(|(s, e)| (*s, *e)).collect();
        if new.is_empty() {
            return;
        }
        tokio::time::sleep(self.behaviour.load).await;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (shard, epoch) in new {
            if self.behaviour.takes && self.ledger.take(&id(&self.options.worker, self.options.incarnation), shard, epoch) {
                held.insert(shard, epoch);
                taken.push((shard, epoch));
            } else {
                refused.push((shard, epoch));
            }
        }
        if !refused.is_empty() {
            self.placement.report(Report::NotTaken(refused)).await;
        }
        if self.behaviour.says_taken && !taken.is_empty() {
            self.placement.report(Report::Taken(taken)).await;
        }
    }
}
