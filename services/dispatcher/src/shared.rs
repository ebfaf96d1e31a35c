//! What all couriers of a dispatcher share.

use crate::metrics::DispatcherMetrics;
use crate::options::Options;
use crate::recorder::Recorder;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warren_domain::{TenantId, Timestamp, time::Clock};
use warren_egress::Guard;
use warren_ports::{bus::Bus, ledger::DispatcherLedger};

/// How many reads of the log run at once.
const READS: usize = 16;
/// How many couriers look at the log in one sweep without a ring.
const LOOKS: u64 = 1_000;

/// How often a courier records a position that moved without a post, in sweeps.
const IDLY: u32 = 10;

/// What all couriers share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) ledger: Arc<dyn DispatcherLedger>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guard: Guard,
    pub(crate) metrics: DispatcherMetrics,
    pub(crate) recorder: Recorder,
    pub(crate) lease: Lease,
    pub(crate) memory: Memory,
    /// Names the log.
    pub(crate) log: u64,
    /// Up to here retention removed events.
    pub(crate) oldest: AtomicI64,
    pub(crate) reads: Semaphore,
    /// How often a courier looks without a ring, milliseconds.
    sweep_ms: AtomicU64,
    posts: Arc<Semaphore>,
    posts_of: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// What a dispatcher is made of.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) ledger: Arc<dyn DispatcherLedger>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guard: Guard,
    pub(crate) metrics: DispatcherMetrics,
    pub(crate) recorder: Recorder,
    pub(crate) log: u64,
    pub(crate) oldest: i64,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let options = parts.options;
        Arc::new(Self {
            lease: Lease::new(options.claim_ttl()),
            memory: Memory { most: options.memory_bytes, held: AtomicUsize::new(0) },
            oldest: AtomicI64::new(parts.oldest),
            reads: Semaphore::new(READS),
            sweep_ms: AtomicU64::new(options.sweep_ms),
            posts: Arc::new(Semaphore::new(options.in_flight.min(Semaphore::MAX_PERMITS))),
            posts_of: Mutex::default(),
            log: parts.log,
            ledger: parts.ledger,
            bus: parts.bus,
            clock: parts.clock,
            guard: parts.guard,
            metrics: parts.metrics,
            recorder: parts.recorder,
            options,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How often a courier looks without a ring.
    pub(crate) fn sweep_every(&self) -> Duration {
        Duration::from_millis(self.sweep_ms.load(Ordering::Relaxed))
    }

    /// How often a courier records a position that moved without a post.
    pub(crate) fn idly_every(&self) -> Duration {
        self.sweep_every() * IDLY
    }

    /// Says how many couriers there are: they look less often when there are many, so that looking costs no more.
    pub(crate) fn couriers(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let sweep = self.options.sweep_ms.saturating_mul(count.div_ceil(LOOKS).max(1));
        self.sweep_ms.store(sweep, Ordering::Relaxed);
    }

    /// What the posts of one tenant need: one of them does not use up the others' share.
    pub(crate) fn permits_of(&self, tenant: TenantId) -> Permits {
        let mut all = self.posts_of.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, semaphore| semaphore.strong_count() > 0);
        let own = all.get(&tenant).and_then(Weak::upgrade).unwrap_or_else(|| {
            let most = self.options.in_flight_per_tenant.min(Semaphore::MAX_PERMITS);
            let made = Arc::new(Semaphore::new(most));
            all.insert(tenant, Arc::downgrade(&made));
            made
        });
        Permits { all: Arc::clone(&self.posts), own }
    }
}

/// Where permits to post come from.
#[derive(Clone)]
pub(crate) struct Permits {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// The right to one post; given back when dropped.
pub(crate) struct Permit {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Permits {
    /// One, if it is free.
    pub(crate) fn try_take(&self) -> Option<Permit> {
        let own = Arc::clone(&self.own).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _all: all, _own: own })
    }

    /// Waits for one, in line: for the tenant's first, so that it does not stand in the others' way.
    pub(crate) async fn take(self) -> Option<Permit> {
        let own = self.own.acquire_owned().await.ok()?;
        let all = self.all.acquire_owned().await.ok()?;
        Some(Permit { _all: all, _own: own })
    }
}

/// Until when this dispatcher may act on what it claimed, by a clock that nobody turns. A dispatcher that was paused finds out
/// here, before it posts, that others may have taken over.
#[derive(Debug)]
pub(crate) struct Lease {
    born: Instant,
    ttl: Duration,
    /// Milliseconds after `born`.
    until: AtomicU64,
}

impl Lease {
    fn new(ttl: Duration) -> Self {
        Self { born: Instant::now(), ttl, until: AtomicU64::new(0) }
    }

    /// The ledger took a sign of life that was sent at this moment. A fifth is left for clocks that go differently.
    pub(crate) fn renewed(&self, sent: Instant) {
        let until = sent.duration_since(self.born) + self.ttl * 4 / 5;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the claims hold now, as far as that is known.
    pub(crate) fn holds(&self) -> bool {
        self.born.elapsed() < Duration::from_millis(self.until.load(Ordering::Relaxed))
    }
}

/// How much of the log waits in memory, over all couriers.
#[derive(Debug)]
pub(crate) struct Memory {
    most: usize,
    held: AtomicUsize,
}

impl Memory {
    /// Whether more may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.held.load(Ordering::Relaxed) < self.most
    }

    /// A courier holds `now` where it held `before`.
    pub(crate) fn changed(&self, before: usize, now: usize) -> usize {
        if now >= before {
            self.held.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            self.held.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        }
    }
}
