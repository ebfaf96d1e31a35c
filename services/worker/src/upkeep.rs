//! Upkeep: retention, expiry, and the look at how long the store waits.

use crate::{session::SLOW, shared::Shared};
use std::{sync::Arc, time::Duration};
use warren_domain::{ErrorKind, Result, Shard};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::Retention,
    objects::ObjectName,
};
use warren_runtime::Lifecycle;

/// Rows of a kind removed in one round.
const BATCH: u32 = 500;
const EVERY: Duration = Duration::from_secs(30);
/// A message that is scheduled for the next second may be sent so much late.
const SCHEDULE_EVERY: Duration = Duration::from_secs(1);
/// Between two batches everybody else gets a turn.
const SCHEDULE_SOONEST: Duration = Duration::from_millis(20);
const EXPIRY_EVERY: Duration = Duration::from_secs(1);
const FILES_EVERY: Duration = Duration::from_secs(5);
/// Files deleted in one round: each is a request where files are in object storage.
const FILES_BATCH: u32 = 100;
const IDEMPOTENCY: Duration = Duration::from_secs(24 * 3_600);

/// Starts the upkeep of this worker. Retention is done by the owner of the first shard, so that in a cluster one does it.
pub(crate) fn start(shared: &Arc<Shared>, lifecycle: &Lifecycle) {
    lifecycle.spawn_background("store watch", watch_store(shared.clone()));
    lifecycle.spawn_background("retention", retention(shared.clone()));
    lifecycle.spawn_background("schedule", schedule(shared.clone()));
    lifecycle.spawn_background("expiry", expiry(shared.clone()));
    lifecycle.spawn_background("files", files(shared.clone()));
}

async fn watch_store(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        let waits = shared.ports.ledger.waiting_ms();
        let is_slow = Duration::from_millis(waits) > SLOW;
        // Instances are woken when it changes, not when it is looked at.
        let changed = shared.store_slow.send_if_modified(|slow| std::mem::replace(slow, is_slow) != is_slow);
        if changed && is_slow {
            tracing::warn!(waits_ms = waits, "the store is not taking writes; waiting for it");
        }
    }
}

fn is_first(shared: &Shared) -> bool {
    shared.ports.placement.assignments().borrow().contains_key(&Shard(0))
}

async fn retention(shared: Arc<Shared>) {
    let retention = Retention {
        events: Duration::from_secs(shared.options.event_retention_s),
        messages: Duration::from_secs(shared.options.message_retention_s),
        idempotency: IDEMPOTENCY,
    };
    loop {
        tokio::time::sleep(EVERY).await;
        while is_first(&shared) {
            match shared.ports.ledger.expire(shared.ports.clock.now(), &retention, BATCH).await {
                // Between two batches everybody else gets a turn.
                Ok(expired) if expired.more => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "retention could not run");
                    break;
                }
            }
        }
    }
}

/// Lets scheduled messages go when their time has come, and rings for them.
async fn schedule(shared: Arc<Shared>) {
    let mut pause = SCHEDULE_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = SCHEDULE_EVERY;
        if !is_first(&shared) {
            continue;
        }
        let now = shared.ports.clock.now();
        match shared.ports.ledger.release_due(now, BATCH).await {
            Ok(released) => {
                for instance in released.instances {
                    let shard = Shard::of(instance, shared.ports.shard_count);
                    shared.ports.bus.ring(Topic::Outbound(shard), Ring::Outbound(instance));
                }
                let left = released.next.map(|next| next.since(now));
                pause = left.map_or(SCHEDULE_EVERY, |left| left.clamp(SCHEDULE_SOONEST, SCHEDULE_EVERY));
            }
            Err(error) if error.kind == ErrorKind::Unavailable => {}
            Err(error) => tracing::warn!(%error, "scheduled messages could not be let go"),
        }
    }
}

async fn expiry(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(EXPIRY_EVERY).await;
        if !is_first(&shared) {
            continue;
        }
        if let Err(error) = shared.ports.ledger.expire_queued(shared.ports.clock.now(), BATCH).await {
            tracing::warn!(%error, "queued messages could not be expired");
        }
    }
}

/// Deletes the bytes of files whose time is over.
async fn files(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(FILES_EVERY).await;
        while is_first(&shared) {
            match delete_files(&shared).await {
                Ok(deleted) if deleted == FILES_BATCH as usize => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "expired files could not be deleted");
                    break;
                }
            }
        }
    }
}

/// One batch. Bytes first: a file whose bytes could not be deleted is tried again.
async fn delete_files(shared: &Shared) -> Result<usize> {
    let ports = &shared.ports;
    let expired = ports.ledger.expired_media(ports.clock.now(), FILES_BATCH).await?;
    for (done, (tenant, media)) in expired.iter().enumerate() {
        if let Err(error) = ports.objects.delete(ObjectName { tenant: *tenant, media: *media }).await {
            ports.ledger.media_deleted(expired.get(..done).unwrap_or_default()).await?;
            return Err(error);
        }
    }
    if !expired.is_empty() {
        ports.ledger.media_deleted(&expired).await?;
    }
    Ok(expired.len())
}
