//! What one listener gets: first what the log holds, then what its tail hears, without a gap between the two, each event
//! once and in order. A listener that falls behind its tail goes back to reading the log.

use crate::{
    problem::Result,
    state::App,
    stream::tail::{Item, Rendered, STRETCH},
};
use futures::{FutureExt as _, future::BoxFuture};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use warren_domain::{EventType, InstanceId, TenantId, event::Cursor};
use warren_ports::ledger::{EventFilter, Page};

/// How long is waited when the log cannot be read, or was read to an end that its tail has passed.
const PAUSES: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_secs(2);

/// What a listener wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Only of these instances (none at all, if empty); `None` is all of the tenant's.
    pub(crate) instances: Option<HashSet<InstanceId>>,
    /// Only these types; empty is all.
    pub(crate) types: Vec<EventType>,
}

impl Filter {
    /// Whether anything is left out.
    pub(super) const fn is_narrow(&self) -> bool {
        self.instances.is_some() || !self.types.is_empty()
    }

    fn passes(&self, instance: InstanceId, kind: EventType) -> bool {
        self.instances.as_ref().is_none_or(|own| own.contains(&instance))
            && (self.types.is_empty() || self.types.contains(&kind))
    }

    fn for_the_ledger(&self) -> EventFilter {
        let instances = self.instances.iter().flatten().copied().collect();
        EventFilter { instances, types: self.types.clone() }
    }
}

/// The place of a listener, and where its events come from.
pub(crate) struct Feed {
    app: App,
    tenant: TenantId,
    log: u64,
    filter: Filter,
    /// Everything up to here was given out or passed over.
    at: i64,
    source: Source,
    /// Read, and not yet given out.
    pending: VecDeque<Item>,
}

enum Source {
    /// Reading the log; the receiver keeps what happens meanwhile.
    Log(BoxFuture<'static, Stretch>),
    /// Listening to the tail.
    Tail(broadcast::Receiver<Item>),
}

/// What was read, and the tail to go on with once everything was.
struct Stretch {
    items: Vec<Item>,
    tail: Option<broadcast::Receiver<Item>>,
}

impl Feed {
    pub(crate) fn new(app: App, tenant: TenantId, filter: Filter, start: Cursor) -> Self {
        let mut feed = Self {
            app,
            tenant,
            log: start.log,
            filter,
            at: start.position,
            source: Source::Log(futures::future::pending().boxed()),
            pending: VecDeque::new(),
        };
        feed.read_the_log();
        feed
    }

    /// Where this listener is.
    pub(super) const fn cursor(&self) -> Cursor {
        Cursor { log: self.log, position: self.at }
    }

    pub(super) const fn is_narrow(&self) -> bool {
        self.filter.is_narrow()
    }

    /// Sees other instances from here on.
    pub(super) fn select(&mut self, instances: Option<HashSet<InstanceId>>) {
        self.filter.instances = instances;
        // What is pending was chosen by the old filter.
        self.pending.clear();
        self.read_the_log();
    }

    /// Reads the log up to its end and listens from then on, keeping what it read: what is not stored is heard from here on.
    pub(crate) async fn listen(&mut self) {
        while let Source::Log(reading) = &mut self.source {
            let stretch = reading.await;
            self.pending.extend(stretch.items);
            match stretch.tail {
                Some(receiver) => self.source = Source::Tail(receiver),
                // More than a stretch: it is given out first.
                None => return self.read_the_log_after_pending(),
            }
        }
    }

    /// The next event. Losing this future loses nothing.
    pub(crate) async fn next(&mut self) -> Rendered {
        loop {
            while let Some(item) = self.pending.pop_front() {
                if let Some(event) = self.pass(item) {
                    return event;
                }
            }
            match &mut self.source {
                Source::Log(reading) => {
                    let stretch = reading.await;
                    self.pending.extend(stretch.items);
                    match stretch.tail {
                        Some(receiver) => self.source = Source::Tail(receiver),
                        None => self.read_the_log_after_pending(),
                    }
                }
                Source::Tail(receiver) => match receiver.recv().await {
                    Ok(item) => self.pending.push_back(item),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => self.read_the_log(),
                },
            }
        }
    }

    /// The next event if it is there already.
    pub(super) fn ready(&mut self) -> Option<Rendered> {
        loop {
            while let Some(item) = self.pending.pop_front() {
                if let Some(event) = self.pass(item) {
                    return Some(event);
                }
            }
            let Source::Tail(receiver) = &mut self.source else { return None };
            match receiver.try_recv() {
                Ok(item) => self.pending.push_back(item),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => self.read_the_log(),
            }
        }
    }

    /// Moves on over an item, and gives it out if it is new here and wanted.
    fn pass(&mut self, item: Item) -> Option<Rendered> {
        let event = match item {
            Item::Passed(position) => {
                self.at = self.at.max(position);
                return None;
            }
            Item::Event(event) => event,
        };
        if let Some(position) = event.position {
            if position <= self.at {
                return None;
            }
            self.at = position;
        }
        self.filter.passes(event.instance, event.kind).then_some(event)
    }

    fn read_the_log(&mut self) {
        let from = self.at;
        self.read_from(from);
    }

    /// Reads on from where what is pending ends.
    fn read_the_log_after_pending(&mut self) {
        let end = self.pending.iter().filter_map(|item| match item {
            Item::Passed(position) => Some(*position),
            Item::Event(event) => event.position,
        });
        let from = end.fold(self.at, i64::max);
        self.read_from(from);
    }

    fn read_from(&mut self, from: i64) {
        let reader =
            Reader { app: self.app.clone(), tenant: self.tenant, log: self.log, filter: self.filter.for_the_ledger(), from };
        self.source = Source::Log(reader.read().boxed());
    }
}

/// Reads one stretch of the log.
struct Reader {
    app: App,
    tenant: TenantId,
    log: u64,
    filter: EventFilter,
    from: i64,
}

impl Reader {
    /// A stretch. A ledger that does not answer is waited for.
    async fn read(mut self) -> Stretch {
        let mut pause = PAUSES.start;
        loop {
            match self.try_read().await {
                Ok(stretch) => return stretch,
                Err(problem) => tracing::debug!(code = problem.code(), "a listener waits for the event log"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.end);
        }
    }

    async fn try_read(&mut self) -> Result<Stretch> {
        let page = self.page(self.from).await?;
        let mut items = self.items(&page)?;
        if page.more {
            return Ok(Stretch { items, tail: None });
        }
        // At the end: listen to the tail first, then read up to where it begins, so that nothing falls between.
        let subscription = Arc::clone(&self.app).tails.subscribe(&self.app, self.tenant).await?;
        let mut at = page.next;
        loop {
            let page = self.page(at).await?;
            items.append(&mut self.items(&page)?);
            at = page.next;
            if page.more {
                // It has grown so much meanwhile that it is no end any more.
                return Ok(Stretch { items, tail: None });
            }
            if at >= subscription.from {
                return Ok(Stretch { items, tail: Some(subscription.receiver) });
            }
            tokio::time::sleep(PAUSES.start).await;
        }
    }

    async fn page(&self, from: i64) -> Result<Page> {
        Ok(self.app.ledger.read_events(self.tenant, &self.filter, from, STRETCH).await?)
    }

    fn items(&self, page: &Page) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(page.events.len() + 1);
        for event in &page.events {
            items.push(Item::Event(Rendered::stored(self.log, event)?));
        }
        items.push(Item::Passed(page.next));
        Ok(items)
    }
}
