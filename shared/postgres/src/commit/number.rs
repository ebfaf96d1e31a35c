//! What WhatsApp said of numbers, as owners were told.

use super::{Item, Result, Tx, changed};
use crate::rows::Id;
use std::collections::BTreeMap;
use warren_domain::Timestamp;
use warren_domain::number::NumberCheck;
use warren_ports::ledger::Outcome;

/// Keeps answers for the tenant; of a number that is named twice, the last.
pub(super) async fn keep(tx: &mut Tx<'_>, item: Item<'_>, checks: &[NumberCheck], at: Timestamp) -> Result<Outcome> {
    // By number: several lanes may keep answers of one tenant, and lock their rows in one order.
    let last: BTreeMap<&str, &NumberCheck> = checks.iter().map(|check| (check.phone.as_str(), check)).collect();
    if last.is_empty() {
        return Ok(changed(0));
    }
    let done = sqlx::query(
        "INSERT INTO number_checks (tenant_id, phone, jid, lid, checked_at)
         SELECT $1, check_.phone, check_.jid, check_.lid, $2
         FROM unnest($3::TEXT[], $4::TEXT[], $5::TEXT[]) AS check_ (phone, jid, lid)
         ON CONFLICT (tenant_id, phone)
             DO UPDATE SET jid = excluded.jid, lid = excluded.lid, checked_at = excluded.checked_at",
    )
    .bind(item.write.tenant.uuid())
    .bind(at.as_millis())
    .bind(last.keys().copied().collect::<Vec<_>>())
    .bind(last.values().map(|check| check.jid.as_deref()).collect::<Vec<_>>())
    .bind(last.values().map(|check| check.lid.as_deref()).collect::<Vec<_>>())
    .execute(&mut *tx.conn)
    .await?;
    Ok(changed(done.rows_affected()))
}
