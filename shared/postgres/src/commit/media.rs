//! Files of an instance: those that come with a message, and what became of their bytes.

use super::{Item, Result, Tx, changed};
use crate::counters::Entry;
use crate::media::{origin_number, size_number, state_number};
use crate::rows::{Id, shown};
use sqlx::PgConnection;
use warren_domain::event::NewEvent;
use warren_domain::media::{Media, MediaFailure, MediaOutcome, MediaState};
use warren_domain::{InstanceId, MediaId};
use warren_ports::ledger::Outcome;

/// Stores a file; one that is there already stays as it is (a retry).
pub(super) async fn insert(conn: &mut PgConnection, media: &Media) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO media (id, tenant_id, instance_id, origin, state, reason, mime_type, size, sha256, filename, link, source,
             created_at, expires_at, bytes_gone)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, FALSE) ON CONFLICT (id) DO NOTHING",
    )
    .bind(media.id.uuid())
    .bind(media.tenant.uuid())
    .bind(media.instance.as_ref().map(InstanceId::uuid))
    .bind(origin_number(media.origin))
    .bind(state_number(media.state))
    .bind(media.reason.map(MediaFailure::as_str))
    .bind(media.mime_type.as_deref().map(shown))
    .bind(media.size.map(size_number))
    .bind(media.sha256.as_ref().map(<[u8; 32]>::as_slice))
    .bind(media.filename.as_deref().map(shown))
    .bind(media.link.as_deref())
    .bind(media.source.as_deref())
    .bind(media.created_at.as_millis())
    .bind(media.expires_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Settles a pending file of the instance, with its event.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    item: Item<'_>,
    id: MediaId,
    outcome: &MediaOutcome,
    event: Option<&NewEvent>,
) -> Result<Outcome> {
    let instance = item.write.instance;
    let settled = match outcome {
        MediaOutcome::Ready { size, sha256, mime_type, expires_at } => sqlx::query(
            "UPDATE media SET state = $4, size = $6, sha256 = $7, mime_type = coalesce($8, mime_type), expires_at = $9,
                    link = NULL, source = NULL
             WHERE id = $1 AND tenant_id = $2 AND instance_id = $3 AND state = $5 AND NOT bytes_gone",
        )
        .bind(id.uuid())
        .bind(item.write.tenant.uuid())
        .bind(instance.uuid())
        .bind(state_number(MediaState::Ready))
        .bind(state_number(MediaState::Pending))
        .bind(size_number(*size))
        .bind(sha256.as_slice())
        .bind(mime_type.as_deref())
        .bind(expires_at.as_millis()),
        MediaOutcome::Failed(reason) => sqlx::query(
            "UPDATE media SET state = $4, reason = $6, link = NULL, source = NULL
             WHERE id = $1 AND tenant_id = $2 AND instance_id = $3 AND state = $5 AND NOT bytes_gone",
        )
        .bind(id.uuid())
        .bind(item.write.tenant.uuid())
        .bind(instance.uuid())
        .bind(state_number(MediaState::Failed))
        .bind(state_number(MediaState::Pending))
        .bind(reason.as_str()),
    };
    let settled = settled.execute(&mut *tx.conn).await?.rows_affected();
    if let Some(event) = event.filter(|_| settled > 0) {
        let entry = Entry::new(item.subject(), event)?;
        tx.append(item, entry);
    }
    Ok(changed(settled))
}
