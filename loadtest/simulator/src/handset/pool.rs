//! The workers that do the phones' cryptography.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wacore_binary::Node;
use waproto::whatsapp::{Message, MessageKey};

use super::receive::{self, Incoming};
use super::rules::{self, Act};
use super::{app_state, content, group, outbound};
use crate::account::Account;
use crate::address::{Address, Addressing};
use crate::groups::Group;
use crate::receipt;
use crate::world::World;

/// Jobs that wait in all queues together. A connection that brings one more waits, which holds back its client.
const WAITING_LIMIT: usize = 20_000;

/// One thing a phone has to do.
pub(crate) struct Job {
    pub(crate) account: Arc<Account>,
    pub(crate) task: Task,
}

/// What a phone can do.
pub(crate) enum Task {
    /// Decrypt a message that arrived.
    Receive(Box<Incoming>),
    /// Take note of receipts for what it wrote.
    Receipt { read: bool, count: u64 },
    /// Encrypt a message again for a device that could not decrypt it.
    Resend { to: Address, addressing: Addressing, group: Option<Arc<Group>>, id: String },
    /// Hand on another phone's retry receipt for what one of this account's devices wrote.
    PassRetry { device: u16, from: u64, id: String, node: Box<Node> },
    /// Write a message to another account.
    Send { to: Arc<Account>, id: String, message: Box<Message> },
    /// Fetch, decrypt and hash the media of a message in the inbox.
    Fetch { from: u64, id: String },
    /// Write a message to a group.
    SendToGroup { group: Arc<Group>, id: String, message: Box<Message> },
    /// Post to `status@broadcast`.
    Post { id: String, message: Box<Message> },
    /// Write a new name into the app state.
    Rename { name: String },
    /// Say that messages were read.
    Read { ids: Vec<String> },
    /// Send the app state key to a companion that just published its keys.
    ShareKey { device: u16, requested: Vec<Vec<u8>> },
    /// Send messages to a companion that could not read them.
    ShareMessages { device: u16, request: String, wanted: Vec<MessageKey> },
    /// The phone is online again: take what waited.
    Wake,
    /// Do something that was put off.
    Act(Act),
    /// The phone is online again by itself, if it is still to be.
    ComeBack,
}

/// A job with its place among the waiting ones.
struct Waiting {
    job: Job,
    _place: Option<OwnedSemaphorePermit>,
}

/// The entry to the workers.
pub(crate) struct Pool {
    workers: Vec<UnboundedSender<Waiting>>,
    places: Arc<Semaphore>,
}

/// One worker's run.
pub(crate) struct Run {
    jobs: UnboundedReceiver<Waiting>,
}

/// Two workers a core: they never wait for anything but the processor.
pub(crate) fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2)
}

impl Pool {
    pub(crate) fn new(count: usize) -> (Self, Vec<Run>) {
        // The channels are unbounded because the permits bound what is in them; jobs without one are follow-ups of a
        // job with one: a handful each, one for every member when a phone writes to a group.
        let (workers, runs) = (0..count.max(1))
            .map(|_| {
                let (sender, jobs) = unbounded_channel();
                (sender, Run { jobs })
            })
            .unzip();
        (Self { workers, places: Arc::new(Semaphore::new(WAITING_LIMIT)) }, runs)
    }

    /// Queues a job, waiting for a place.
    pub(crate) async fn submit(&self, job: Job) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        self.push(Waiting { job, _place: place });
    }

    /// Queues a follow-up of a job that is being done.
    pub(super) fn follow_up(&self, job: Job) {
        self.push(Waiting { job, _place: None });
    }

    fn push(&self, waiting: Waiting) {
        let count = self.workers.len() as u64;
        let index = usize::try_from(waiting.job.account.phone % count).unwrap_or_default();
        if let Some(worker) = self.workers.get(index) {
            // It fails only when the server has stopped.
            let _ = worker.send(waiting);
        }
    }
}

impl Run {
    /// Does jobs until the server stops, and then those that were taken before.
    pub(crate) async fn serve(mut self, world: Arc<World>) {
        loop {
            let waiting = tokio::select! {
                waiting = self.jobs.recv() => waiting,
                () = world.stop.cancelled() => None,
            };
            let Some(Waiting { job, .. }) = waiting else { break };
            if matches!(job.task, Task::Fetch { .. }) {
                // It reads a file; the worker waits, the runtime does not.
                let shared = Arc::clone(&world);
                let done = tokio::task::spawn_blocking(move || perform(&shared, job)).await;
                if done.is_err() {
                    tracing::error!("handset.fetch.failed");
                }
                continue;
            }
            perform(&world, job);
        }
        while let Ok(Waiting { job, .. }) = self.jobs.try_recv() {
            perform(&world, job);
        }
    }
}

fn perform(world: &World, Job { account, task }: Job) {
    match task {
        Task::Receive(incoming) => receive::receive(world, &account, *incoming),
        Task::Receipt { read, count } => {
            let mut handset = account.handset();
            if read {
                handset.read += count;
            } else {
                handset.delivered += count;
            }
        }
        Task::Resend { to, addressing, group, id } => match group {
            Some(group) => group::resend(world, &account, &group, to, &id),
            None => outbound::resend(world, &account, to, addressing, &id),
        },
        Task::SendToGroup { group, id, message } => group::send(world, &account, &group, &id, &message),
        Task::PassRetry { device, from, id, node } => receipt::relay_retry(world, &account, device, from, &id, &node),
        Task::Post { id, message } => group::post(world, &account, &id, &message),
        Task::Rename { name } => app_state::rename(world, &account, &name),
        Task::Send { to, id, message } => outbound::send(world, &account, &to, &id, &message),
        Task::Fetch { from, id } => content::fetch(world, &account, from, &id),
        Task::Read { ids } => receive::mark_read(world, &account, &ids),
        Task::ShareKey { device, requested } => outbound::share_key(world, &account, device, &requested),
        Task::ShareMessages { device, request, wanted } => {
            outbound::share_messages(world, &account, device, &request, &wanted)
        }
        Task::Wake => receive::wake(world, &account),
        Task::Act(act) => rules::perform(world, &account, act),
        Task::ComeBack => rules::back(world, &account),
    }
    account.touch();
}
