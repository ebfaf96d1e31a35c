//! The end of a tenant's log, read once for all its listeners here.
//!
//! The log is read in the order of positions, on every ring and in a sweep; what was read is rendered once and fanned out
//! over a bounded channel. Who falls behind that channel reads the log itself (see the feed), so nothing is ever skipped.

use crate::{problem::Result, state::App, stream::render};
use axum::extract::ws::Utf8Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, broadcast},
    time::MissedTickBehavior,
};
use warren_domain::{Event, EventType, InstanceId, TenantId};
use warren_ports::{
    bus::{Listener, Ring, Topic},
    ledger::EventFilter,
};

/// How many items a listener may be behind before it reads the log itself.
const BEHIND: usize = 1_024;
/// How many events are read at once.
pub(super) const STRETCH: u32 = 256;

/// Something for listeners.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// An event to deliver.
    Event(Rendered),
    /// Everything up to this position was looked at.
    Passed(i64),
}

/// An event as it goes to the wire; clones share the text.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// Its position; ephemeral events have none.
    pub(super) position: Option<i64>,
    pub(crate) instance: InstanceId,
    pub(crate) kind: EventType,
    pub(crate) text: Utf8Bytes,
}

impl Rendered {
    pub(super) fn stored(log: u64, event: &Event) -> Result<Self> {
        let text = render::stored(log, event)?.into();
        Ok(Self { position: Some(event.position), instance: event.instance, kind: event.kind, text })
    }
}

/// The tails that have listeners.
#[derive(Default)]
pub(crate) struct Tails {
    open: Mutex<HashMap<TenantId, Arc<Tail>>>,
}

/// One tenant's tail.
struct Tail {
    tenant: TenantId,
    log: u64,
    sender: broadcast::Sender<Item>,
    /// Everything up to here was fanned out. Held while fanning out, so that a new listener knows exactly what it gets.
    position: Mutex<i64>,
}

/// A listener's end: it hears of everything after `from`.
pub(super) struct Subscription {
    pub(super) receiver: broadcast::Receiver<Item>,
    pub(super) from: i64,
}

impl Tails {
    /// Listens to a tenant's tail, starting it if nobody else does.
    pub(super) async fn subscribe(&self, app: &App, tenant: TenantId) -> Result<Subscription> {
        if let Some(tail) = self.open().get(&tenant) {
            return Ok(tail.subscribe());
        }
        // Before the log's end is looked at: a stream that was told where it begins misses nothing, not even what is not stored.
        let listener = app.bus.listen(Topic::Log(tenant)).await;
        let bounds = app.ledger.log_bounds().await?;
        let mut open = self.open();
        // Somebody else may have started it meanwhile.
        if let Some(tail) = open.get(&tenant) {
            return Ok(tail.subscribe());
        }
        let (sender, _) = broadcast::channel(BEHIND);
        let tail = Arc::new(Tail { tenant, log: bounds.log, sender, position: Mutex::new(bounds.head) });
        let subscription = tail.subscribe();
        open.insert(tenant, Arc::clone(&tail));
        let listed = Listed { app: app.clone(), tail };
        app.lifecycle.spawn(Box::pin(listed.follow(listener)));
        Ok(subscription)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Tail>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn position(&self) -> MutexGuard<'_, i64> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self) -> Subscription {
        let position = self.position();
        Subscription { receiver: self.sender.subscribe(), from: *position }
    }

    fn fan_out(&self, items: Vec<Rendered>, next: i64) {
        let mut position = self.position();
        for item in items {
            // Without a listener there is nobody to tell.
            let _ = self.sender.send(Item::Event(item));
        }
        if next > *position {
            *position = next;
            let _ = self.sender.send(Item::Passed(next));
        }
    }
}

/// A tail's task. Takes the tail off the list at its end, however it ends: then its listeners see their channel closed,
/// and start another.
struct Listed {
    app: App,
    tail: Arc<Tail>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut open = self.app.tails.open();
        if open.get(&self.tail.tenant).is_some_and(|tail| Arc::ptr_eq(tail, &self.tail)) {
            open.remove(&self.tail.tenant);
        }
    }
}

impl Listed {
    async fn follow(self, listener: Box<dyn Listener>) {
        let rung = Notify::new();
        tokio::select! {
            () = self.hear(listener, &rung) => {}
            () = self.read_on(&rung) => {}
            () = self.app.lifecycle.stopping() => {}
        }
    }

    /// Turns rings into looks, however many come at once, and passes on what is not stored.
    async fn hear(&self, mut listener: Box<dyn Listener>, rung: &Notify) {
        while let Some(ring) = listener.next().await {
            let Ring::Ephemeral(event) = ring else {
                rung.notify_one();
                continue;
            };
            if event.tenant == self.tail.tenant
                && let Ok(text) = render::ephemeral(&event)
            {
                let rendered = Rendered { position: None, instance: event.instance, kind: event.kind, text: text.into() };
                let _ = self.tail.sender.send(Item::Event(rendered));
            }
        }
        // The bus is closed: the sweep goes on.
        std::future::pending::<()>().await;
    }

    /// Reads the log whenever it is rung, and in a sweep; ends when nobody listens any more.
    async fn read_on(&self, rung: &Notify) {
        let mut sweep = tokio::time::interval(self.app.options.sweep_interval());
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = rung.notified(), if !is_failing => {}
                _ = sweep.tick() => {
                    if self.is_alone() {
                        return;
                    }
                }
            }
            let read = self.read_to_the_end().await;
            if let Err(problem) = &read
                && !is_failing
            {
                tracing::warn!(code = problem.code(), "the event log cannot be read; listeners wait");
            }
            is_failing = read.is_err();
        }
    }

    /// Whether nobody listens; if so the tail is off the list.
    fn is_alone(&self) -> bool {
        let mut open = self.app.tails.open();
        if self.tail.sender.receiver_count() > 0 {
            return false;
        }
        open.remove(&self.tail.tenant);
        true
    }

    async fn read_to_the_end(&self) -> Result<()> {
        let everything = EventFilter::default();
        loop {
            let from = *self.tail.position();
            let page = self.app.ledger.read_events(self.tail.tenant, &everything, from, STRETCH).await?;
            let now = self.app.now();
            let mut items = Vec::with_capacity(page.events.len());
            for event in &page.events {
                let lag_ms = now.as_millis().saturating_sub(event.occurred_at.as_millis()).max(0);
                self.app.telemetry.lag.observe(lag_ms as f64 / 1_000.0);
                items.push(Rendered::stored(self.tail.log, event)?);
            }
            self.tail.fan_out(items, page.next);
            if !page.more {
                return Ok(());
            }
        }
    }
}
