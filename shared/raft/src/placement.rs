//! Placement as the coordinators decide it.

use crate::{
    Caller, Group, attachment, notices,
    view::View,
    wire::{Code, LEAVE, LONGEST_NAME, Leave, NodeId},
};
use async_trait::async_trait;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};
use warren_domain::{Error, Result, ShardCount};
use warren_ports::{
    lease::Incarnation,
    placement::{Assignments, Placement, Report},
};

/// How long [`RaftPlacement::close`] tries to say what was not heard yet, and then that the worker is gone.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long one try of that takes, and the pause after it.
const FAREWELL_TRY: Duration = Duration::from_millis(500);
const FAREWELL_PAUSE: Duration = Duration::from_millis(100);

/// Who a worker is to the coordinators.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The coordinators.
    pub group: Group,
    /// The worker's name: unique in the cluster, the same after a restart, 1 to 128 bytes.
    pub worker: String,
    /// This start of it, as its lease has it too.
    pub incarnation: Incarnation,
    /// How many shards it takes, compared to others; at least 1.
    pub weight: u32,
    /// How many shards there are; another count than the cluster's is refused.
    pub shard_count: ShardCount,
}

/// How a worker stands to the coordinators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It looks for the leader. What it owns stays as it is.
    Seeking,
    /// It is attached to the leader.
    Attached(NodeId),
    /// It is refused, and that will not change by itself; it asks again every few seconds.
    Refused(Code),
}

/// The [`Placement`] of one worker, over the coordinators. Cheap to clone; clones share it.
///
/// It stays attached to whoever leads; while nobody does, the last assignments stand, and what was reported is told to the next
/// leader. When another process started under the same name, nothing is assigned here any more. Dropped without
/// [`RaftPlacement::close`], it is to the coordinators what a crash is: the worker counts as dead once it does not renew its
/// lease.
#[derive(Debug, Clone)]
pub struct RaftPlacement {
    shared: Arc<Shared>,
    _running: Arc<DropGuard>,
}

/// What the tasks of one placement share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    pub(crate) caller: Caller,
    view: Mutex<View>,
    assigned: watch::Sender<Assignments>,
    pub(crate) attachment: watch::Sender<Attachment>,
    /// Rung when there is something to tell the leader.
    pub(crate) unheard: Notify,
    /// Rung when the stream to the leader is to be made anew.
    pub(crate) detached: Notify,
    pub(crate) stop: CancellationToken,
    /// Opens streams, and nothing else: a connection is driven by the runtime that opened it.
    pub(crate) streams: Caller,
    /// Where the stream from the leader is followed.
    apart: Handle,
}

impl Shared {
    /// Does it on the runtime apart, and gives it up when it is dropped. `None`: that runtime has ended.
    pub(crate) async fn apart<F>(&self, work: F) -> Option<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        AbortOnDropHandle::new(self.apart.spawn(work)).await.ok()
    }

    /// One change at a time, and the assignments that follow from it.
    pub(crate) fn with_view<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut view);
        let shown = view.shown();
        self.assigned.send_if_modified(|assigned| {
            let is_new = **assigned != shown;
            if is_new {
                *assigned = Arc::new(shown);
            }
            is_new
        });
        result
    }

    /// Looks without changing.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The leader that it is attached to.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        match *self.attachment.borrow() {
            Attachment::Attached(node) => Some(node),
            Attachment::Seeking | Attachment::Refused(_) => None,
        }
    }

    pub(crate) fn attach_state(&self, next: Attachment) {
        self.attachment.send_if_modified(|state| std::mem::replace(state, next) != next);
    }
}

impl RaftPlacement {
    /// Begins to attach itself, in tasks of the current runtime that live as long as this and its clones.
    ///
    /// # Errors
    /// `Invalid` for options that make no sense; nothing is started then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(options: ClientOptions) -> Result<Self> {
        Self::connect_apart(options, &Handle::current())
    }

    /// The same, but the stream from the leader is followed on another runtime, on which it is heard in time however busy this
    /// one is. What the leader is told is told from this one: a process whose tasks stand still is not heard, and once it is
    /// taken for dead it does not come back.
    ///
    /// # Errors
    /// See [`RaftPlacement::connect`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect_apart(options: ClientOptions, apart: &Handle) -> Result<Self> {
        if !(1..=LONGEST_NAME).contains(&options.worker.len()) {
            return Err(Error::invalid("worker_name", "The worker's name must have 1 to 128 bytes."));
        }
        if options.weight == 0 {
            return Err(Error::invalid("worker_weight", "The worker's weight must be at least 1."));
        }
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            caller: options.group.caller(),
            streams: options.group.caller(),
            options,
            view: Mutex::default(),
            assigned: watch::Sender::default(),
            attachment: watch::Sender::new(Attachment::Seeking),
            unheard: Notify::new(),
            detached: Notify::new(),
            stop: stop.clone(),
            apart: apart.clone(),
        });
        tokio::spawn(stop.clone().run_until_cancelled_owned(attachment::keep(Arc::clone(&shared))));
        tokio::spawn(stop.clone().run_until_cancelled_owned(notices::send(Arc::clone(&shared))));
        Ok(Self { shared, _running: Arc::new(stop.drop_guard()) })
    }

    /// How it stands to the coordinators, always the latest.
    #[must_use]
    pub fn attachment(&self) -> watch::Receiver<Attachment> {
        self.shared.attachment.subscribe()
    }

    /// Says what was not heard yet, and that this start of the worker is gone; for at most two seconds. To be called when
    /// nothing acts for any shard any more. If nobody hears it, the worker counts as dead once its lease is gone.
    pub async fn close(&self) {
        let deadline = tokio::time::Instant::now() + FAREWELL;
        let farewell = async {
            while !self.shared.look(View::is_heard) {
                self.shared.unheard.notify_one();
                tokio::time::sleep(FAREWELL_PAUSE).await;
            }
            while !self.leave().await {
                tokio::time::sleep(FAREWELL_PAUSE).await;
            }
        };
        if tokio::time::timeout_at(deadline, farewell).await.is_err() {
            tracing::warn!("the coordinators did not hear that this worker is gone; they find out by its lease");
        }
        self.shared.stop.cancel();
        self.shared.attach_state(Attachment::Seeking);
    }

    async fn leave(&self) -> bool {
        let options = &self.shared.options;
        let Some(address) = self.shared.leader().and_then(|leader| options.group.address(leader)) else { return false };
        let request = crate::Request { address, path: LEAVE, sender: 0, target: 0 };
        let leave = Leave { worker: options.worker.clone(), incarnation: options.incarnation };
        self.shared.caller.post::<crate::wire::Heard>(request, &leave, FAREWELL_TRY).await.is_ok()
    }
}

#[async_trait]
impl Placement for RaftPlacement {
    fn assignments(&self) -> watch::Receiver<Assignments> {
        self.shared.assigned.subscribe()
    }

    async fn report(&self, report: Report) {
        let is_heard = self.shared.with_view(|view| {
            view.report(report);
            view.is_heard()
        });
        if !is_heard {
            self.shared.unheard.notify_one();
        }
    }
}
