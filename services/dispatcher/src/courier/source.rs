//! Where the events of a flow come from: the log, or what was given up.

use crate::courier::item::Item;
use crate::shared::Shared;
use warren_domain::{InstanceId, Result, Webhook, webhook::Replayed};
use warren_ports::ledger::{EventFilter, Page};

/// Events that are read at once.
pub(crate) const STRETCH: u32 = 256;
/// Single positions that are looked up at once.
const LOOKED_UP: usize = 16;

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The log, without an end.
    Live,
    /// What is to be replayed.
    Replay(Replayed),
}

/// A stretch of a source.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) items: Vec<Item>,
    /// Everything up to here was looked at.
    pub(crate) next: i64,
    /// Whether there was more when it was read.
    pub(crate) more: bool,
}

impl Source {
    /// The last position, if there is one.
    pub(crate) fn end(&self) -> Option<i64> {
        match self {
            Self::Live => None,
            Self::Replay(what) => Some(what.end()),
        }
    }

    /// Reads on after a position: everything that the webhook wants, or only what is of some instances.
    pub(crate) async fn read(
        &self,
        shared: &Shared,
        webhook: &Webhook,
        only: Option<&[InstanceId]>,
        after: i64,
    ) -> Result<Stretch> {
        // Closed never: it lives as long as the dispatcher.
        let _reading = shared.reads.acquire().await;
        let page = match self {
            Self::Live => log(shared, webhook, only, after).await?,
            Self::Replay(Replayed::Range { to, .. }) => until(log(shared, webhook, only, after).await?, *to),
            Self::Replay(Replayed::DeadLetters { to }) => {
                filtered(until(dead_letters(shared, webhook, after).await?, *to), only)
            }
            Self::Replay(Replayed::Positions(positions)) => filtered(single(shared, webhook, positions, after).await?, only),
        };
        let items = page.events.into_iter().map(|event| Item::new(webhook, shared.log, event)).collect();
        Ok(Stretch { items, next: page.next, more: page.more })
    }
}

async fn log(shared: &Shared, webhook: &Webhook, only: Option<&[InstanceId]>, after: i64) -> Result<Page> {
    let instances = only.map_or_else(|| webhook.instances.clone(), <[InstanceId]>::to_vec);
    let filter = EventFilter { instances, types: webhook.events.clone() };
    shared.ledger.read_events(webhook.tenant, &filter, after, STRETCH).await
}

/// Cuts what is beyond the end.
fn until(mut page: Page, to: i64) -> Page {
    page.events.retain(|event| event.position <= to);
    page.more = page.more && page.next < to;
    page.next = page.next.min(to);
    page
}

fn filtered(mut page: Page, only: Option<&[InstanceId]>) -> Page {
    if let Some(only) = only {
        page.events.retain(|event| only.contains(&event.instance));
    }
    page
}

async fn dead_letters(shared: &Shared, webhook: &Webhook, after: i64) -> Result<Page> {
    let letters = shared.ledger.letters(webhook.id, after, STRETCH).await?;
    let more = letters.len() >= STRETCH as usize;
    let events: Vec<_> = letters.into_iter().map(|letter| letter.event).collect();
    let next = events.last().filter(|_| more).map_or(i64::MAX, |last| last.position);
    Ok(Page { events, next, more })
}

/// The next few of single positions: as dead letters, or in the log. What is in neither any more is passed over.
async fn single(shared: &Shared, webhook: &Webhook, positions: &[i64], after: i64) -> Result<Page> {
    let ahead = || positions.iter().copied().filter(|position| *position > after);
    let mut page = Page { events: Vec::new(), next: after, more: ahead().count() > LOOKED_UP };
    for position in ahead().take(LOOKED_UP) {
        let letters = shared.ledger.letters(webhook.id, position - 1, 1).await?;
        let letter = letters.into_iter().map(|letter| letter.event).find(|event| event.position == position);
        page.events.extend(match letter {
            Some(event) => Some(event),
            None => {
                let read = shared.ledger.read_events(webhook.tenant, &EventFilter::default(), position - 1, 1).await?;
                read.events.into_iter().find(|event| event.position == position)
            }
        });
        page.next = position;
    }
    Ok(page)
}
