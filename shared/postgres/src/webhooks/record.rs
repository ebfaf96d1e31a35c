//! What dispatchers did: each step is one statement for all webhooks of the call. The fence is compared in the first, which
//! keeps the rows of those that hold locked until the end; the others take no part in what follows.

use super::rows::LIVE;
use crate::rows::{Id, json, millis};
use sqlx::{PgConnection, Result, Row};
use std::collections::HashMap;
use uuid::Uuid;
use warren_domain::TenantId;
use warren_domain::webhook::Attempt;
use warren_ports::ledger::{FlowProgress, Progress};

/// Slots of each ring of attempts.
const RING: i64 = 500;

/// A webhook whose claim holds.
struct Recorded<'a> {
    progress: &'a Progress,
    tenant: Uuid,
    /// How many attempts there were before, and how many of them failed.
    attempts: i64,
    failures: i64,
}

impl Recorded<'_> {
    fn webhook(&self) -> Uuid {
        self.progress.claim.webhook.uuid()
    }
}

pub(super) async fn all(conn: &mut PgConnection, progress: &[Progress]) -> Result<Vec<bool>> {
    let (verdicts, recorded) = compare(conn, progress).await?;
    record_replays(conn, &recorded).await?;
    record_lanes(conn, &recorded).await?;
    forget_lanes(conn, &recorded).await?;
    keep_attempts(conn, &recorded).await?;
    bury(conn, &recorded).await?;
    revive(conn, &recorded).await?;
    Ok(verdicts)
}

/// Writes what stands in the webhooks' own rows, where the fence holds.
async fn compare<'a>(conn: &mut PgConnection, all: &'a [Progress]) -> Result<(Vec<bool>, Vec<Recorded<'a>>)> {
    let live = |progress: &Progress| progress.flows.iter().find(|flow| flow.replay.is_none()).map(|flow| flow.position);
    let failures = |progress: &Progress| progress.attempts.iter().filter(|attempt| attempt.failure.is_some()).count();
    let rows = sqlx::query(
        "UPDATE webhooks w SET failing_since = n.failing_since, delivered_at = n.delivered_at,
             paused_until = n.paused_until, missed_at = n.missed_at, disabled = coalesce(w.disabled, n.disabled),
             position = coalesce(n.position, w.position), attempts = w.attempts + n.attempts,
             failures = w.failures + n.failures
         FROM unnest($1::BIGINT[], $2::UUID[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[],
                     $8::TEXT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[])
             AS n (item, id, fence, failing_since, delivered_at, paused_until, missed_at, disabled, position, attempts,
                   failures)
         WHERE w.id = n.id AND w.fence = n.fence AND w.claimed_by IS NOT NULL AND w.deleted_at IS NULL
         RETURNING n.item, w.tenant_id, w.attempts - n.attempts, w.failures - n.failures",
    )
    .bind((0..).take(all.len()).collect::<Vec<i64>>())
    .bind(all.iter().map(|progress| progress.claim.webhook.uuid()).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| progress.claim.fence).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| millis(progress.standing.failing_since)).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| millis(progress.standing.delivered_at)).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| millis(progress.standing.paused_until)).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| millis(progress.standing.missed_at)).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| progress.disable.map(|reason| reason.as_str())).collect::<Vec<_>>())
    .bind(all.iter().map(live).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| number(progress.attempts.len())).collect::<Vec<_>>())
    .bind(all.iter().map(|progress| number(failures(progress))).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<i64, (TenantId, i64, i64)> = HashMap::new();
    for row in &rows {
        found.insert(row.try_get(0)?, (crate::rows::id(row, 1)?, row.try_get(2)?, row.try_get(3)?));
    }
    let (mut verdicts, mut recorded) = (Vec::with_capacity(all.len()), Vec::new());
    for (item, progress) in (0_i64..).zip(all) {
        verdicts.push(found.contains_key(&item));
        if let Some((tenant, attempts, failures)) = found.remove(&item) {
            recorded.push(Recorded { progress, tenant: tenant.uuid(), attempts, failures });
        }
    }
    Ok((verdicts, recorded))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Every flow of every webhook.
fn flows<'a>(recorded: &'a [Recorded<'a>]) -> impl Iterator<Item = (&'a Recorded<'a>, &'a FlowProgress)> {
    recorded.iter().flat_map(|webhook| webhook.progress.flows.iter().map(move |flow| (webhook, flow)))
}

fn key(flow: &FlowProgress) -> Uuid {
    flow.replay.map_or(LIVE, |replay| replay.uuid())
}

/// Moves replays, and ends those that are at their end.
async fn record_replays(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    let replays = || flows(recorded).filter(|(_, flow)| flow.replay.is_some());
    let columns = |ended: bool| {
        let of = replays().filter(move |(_, flow)| flow.ended == ended);
        let (ids, rest): (Vec<_>, Vec<_>) =
            of.map(|(webhook, flow)| (webhook.webhook(), (key(flow), flow.position))).unzip();
        let (keys, positions): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        (ids, keys, positions)
    };
    let (ids, keys, positions) = columns(false);
    if !ids.is_empty() {
        sqlx::query(
            "UPDATE webhook_replays r SET position = n.position
             FROM unnest($1::UUID[], $2::UUID[], $3::BIGINT[]) AS n (webhook_id, id, position)
             WHERE r.webhook_id = n.webhook_id AND r.id = n.id",
        )
        .bind(ids)
        .bind(keys)
        .bind(positions)
        .execute(&mut *conn)
        .await?;
    }
    let (ids, keys, _) = columns(true);
    if !ids.is_empty() {
        sqlx::query(
            "WITH ended AS MATERIALIZED (SELECT * FROM unnest($1::UUID[], $2::UUID[]) AS n (webhook_id, id)),
                  lanes AS (DELETE FROM webhook_lanes l USING ended n
                            WHERE l.webhook_id = n.webhook_id AND l.replay_id = n.id)
             DELETE FROM webhook_replays r USING ended n WHERE r.webhook_id = n.webhook_id AND r.id = n.id",
        )
        .bind(ids)
        .bind(keys)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Writes lanes, of replays only where they are under way.
async fn record_lanes(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    let lanes: Vec<_> = flows(recorded)
        .filter(|(_, flow)| !flow.ended)
        .flat_map(|(webhook, flow)| flow.lanes.iter().map(move |lane| (webhook, key(flow), lane)))
        .collect();
    if lanes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO webhook_lanes (webhook_id, replay_id, instance_id, tenant_id, position, tries, next_at, failure)
         SELECT n.* FROM unnest($1::UUID[], $2::UUID[], $3::UUID[], $4::UUID[], $5::BIGINT[], $6::INTEGER[], $7::BIGINT[],
                                $8::TEXT[])
                AS n (webhook_id, replay_id, instance_id, tenant_id, position, tries, next_at, failure)
         WHERE n.replay_id = $9
            OR EXISTS (SELECT 1 FROM webhook_replays r WHERE r.webhook_id = n.webhook_id AND r.id = n.replay_id)
         ON CONFLICT (webhook_id, replay_id, instance_id) DO UPDATE SET position = excluded.position, tries = excluded.tries,
             next_at = excluded.next_at, failure = excluded.failure",
    )
    .bind(lanes.iter().map(|(webhook, ..)| webhook.webhook()).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(.., lane)| lane.instance.uuid()).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(webhook, ..)| webhook.tenant).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(.., lane)| lane.position).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(.., lane)| small(lane.tries)).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(.., lane)| lane.next_at.as_millis()).collect::<Vec<_>>())
    .bind(lanes.iter().map(|(.., lane)| lane.failure.map(|failure| failure.as_str())).collect::<Vec<_>>())
    .bind(LIVE)
    .execute(conn)
    .await?;
    Ok(())
}

fn small(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Removes lanes that have caught up.
async fn forget_lanes(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    let gone: Vec<_> = flows(recorded)
        .flat_map(|(webhook, flow)| flow.caught_up.iter().map(move |instance| (webhook.webhook(), key(flow), instance)))
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM webhook_lanes l
         USING unnest($1::UUID[], $2::UUID[], $3::UUID[]) AS n (webhook_id, replay_id, instance_id)
         WHERE l.webhook_id = n.webhook_id AND l.replay_id = n.replay_id AND l.instance_id = n.instance_id",
    )
    .bind(gone.iter().map(|(webhook, ..)| *webhook).collect::<Vec<_>>())
    .bind(gone.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
    .bind(gone.iter().map(|(.., instance)| instance.uuid()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// An attempt with its place: its number, its ring and the slot there.
struct Kept<'a> {
    webhook: &'a Recorded<'a>,
    attempt: &'a Attempt,
    number: i64,
    slot: i64,
}

/// The attempts of a webhook that its rings keep: of each kind the last ones, because a statement writes no slot twice.
fn kept<'a>(webhook: &'a Recorded<'a>) -> Vec<Kept<'a>> {
    let mut counts = [webhook.attempts - webhook.failures, webhook.failures];
    let mut kept = Vec::with_capacity(webhook.progress.attempts.len());
    for (number, attempt) in (webhook.attempts + 1..).zip(&webhook.progress.attempts) {
        let [succeeded, failed] = &mut counts;
        let before = if attempt.failure.is_some() { failed } else { succeeded };
        kept.push((*before, Kept { webhook, attempt, number, slot: *before % RING }));
        *before += 1;
    }
    let [succeeded, failed] = counts;
    let first = |attempt: &Attempt| if attempt.failure.is_some() { failed - RING } else { succeeded - RING };
    kept.retain(|(before, kept)| *before >= first(kept.attempt));
    kept.into_iter().map(|(_, kept)| kept).collect()
}

/// Writes attempts into their rings.
async fn keep_attempts(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    let kept: Vec<Kept<'_>> = recorded.iter().flat_map(kept).collect();
    if kept.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO webhook_attempts (webhook_id, failed, slot, tenant_id, number, event_id, type, instance_id, tries, status,
             failure, took_ms, at, replay)
         SELECT * FROM unnest($1::UUID[], $2::BOOLEAN[], $3::SMALLINT[], $4::UUID[], $5::BIGINT[], $6::UUID[], $7::TEXT[],
                              $8::UUID[], $9::INTEGER[], $10::INTEGER[], $11::TEXT[], $12::BIGINT[], $13::BIGINT[],
                              $14::BOOLEAN[])
         ON CONFLICT (webhook_id, failed, slot) DO UPDATE SET number = excluded.number, event_id = excluded.event_id,
             type = excluded.type, instance_id = excluded.instance_id, tries = excluded.tries, status = excluded.status,
             failure = excluded.failure, took_ms = excluded.took_ms, at = excluded.at, replay = excluded.replay",
    )
    .bind(kept.iter().map(|kept| kept.webhook.webhook()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.failure.is_some()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| i16::try_from(kept.slot).unwrap_or_default()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.webhook.tenant).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.number).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.event.0.uuid()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.kind.as_str()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.instance.uuid()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| small(kept.attempt.tries)).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.status.map(i32::from)).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.failure.map(|failure| failure.as_str())).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| i64::from(kept.attempt.took_ms)).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.at.as_millis()).collect::<Vec<_>>())
    .bind(kept.iter().map(|kept| kept.attempt.replay).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps events that were given up: seldom, so one after the other.
async fn bury(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    for webhook in recorded {
        for letter in &webhook.progress.dead {
            let event = &letter.event;
            sqlx::query(
                "INSERT INTO webhook_dead_letters (webhook_id, position, tenant_id, event_id, instance_id, seq, type,
                     occurred_at, data, tries, status, failure, died_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                 ON CONFLICT (webhook_id, position) DO UPDATE SET tries = excluded.tries, status = excluded.status,
                     failure = excluded.failure, died_at = excluded.died_at",
            )
            .bind(webhook.webhook())
            .bind(event.position)
            .bind(webhook.tenant)
            .bind(event.id.0.uuid())
            .bind(event.instance.uuid())
            .bind(event.seq)
            .bind(event.kind.as_str())
            .bind(event.occurred_at.as_millis())
            .bind(json(&event.data)?)
            .bind(small(letter.tries))
            .bind(letter.status.map(i32::from))
            .bind(letter.failure.as_str())
            .bind(letter.at.as_millis())
            .execute(&mut *conn)
            .await?;
        }
    }
    Ok(())
}

/// Forgets dead letters that were delivered after all.
async fn revive(conn: &mut PgConnection, recorded: &[Recorded<'_>]) -> Result<()> {
    let revived = || {
        recorded.iter().flat_map(|webhook| webhook.progress.revived.iter().map(|position| (webhook.webhook(), *position)))
    };
    let (webhooks, positions): (Vec<_>, Vec<_>) = revived().unzip();
    if webhooks.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM webhook_dead_letters l USING unnest($1::UUID[], $2::BIGINT[]) AS n (webhook_id, position)
         WHERE l.webhook_id = n.webhook_id AND l.position = n.position",
    )
    .bind(webhooks)
    .bind(positions)
    .execute(conn)
    .await?;
    Ok(())
}
