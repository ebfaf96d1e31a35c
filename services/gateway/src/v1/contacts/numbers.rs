//! Number checks: what is known and still counts is not asked again; the rest is asked in small queries, within a quota.

use crate::{
    problem::{Problem, Result},
    state::App,
};
use std::collections::{HashMap, HashSet};
use warren_domain::{ErrorKind, InstanceId, NumberCheck, TenantId, Timestamp};
use warren_ports::{
    bus::{Answer, Ask, ask::ContactAsk},
    ledger::CheckQuota,
};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Which answers the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// What is known is good enough.
    Known,
    /// New ones.
    Fresh,
}

/// What WhatsApp says of these numbers (E.164 digits), by number; one that it says nothing of is not in it.
pub(crate) async fn check(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    phones: &[String],
    wish: Wish,
) -> Result<HashMap<String, NumberCheck>> {
    let mut found = match wish {
        Wish::Known => known(app, tenant, phones).await?,
        Wish::Fresh => HashMap::new(),
    };
    app.telemetry.known_numbers.inc_by(found.len() as u64);
    let mut seen = HashSet::new();
    let unknown = phones.iter().filter(|phone| !found.contains_key(*phone) && seen.insert(*phone));
    let unknown: Vec<String> = unknown.cloned().collect();
    if unknown.is_empty() {
        return Ok(found);
    }
    take(app, tenant, instance, unknown.len()).await?;
    for phones in unknown.chunks(ContactAsk::NUMBERS) {
        let ask = Ask::Contacts(ContactAsk::Check { phones: phones.to_vec() });
        let Answer::Numbers(checks) = app.ask_whatsapp(tenant, instance, ask).await? else {
            return Err(Problem::internal("a check was answered by something else"));
        };
        found.extend(checks.into_iter().map(|check| (check.phone.clone(), check)));
    }
    Ok(found)
}

async fn known(app: &App, tenant: TenantId, phones: &[String]) -> Result<HashMap<String, NumberCheck>> {
    let now = app.now();
    let known = app.ledger.known_numbers(tenant, phones).await?;
    let fresh = known.into_iter().filter(|known| known.is_fresh(now));
    Ok(fresh.map(|known| (known.check.phone.clone(), known.check)).collect())
}

/// Takes from the day's quota. What is taken stays taken, whatever becomes of the questions.
async fn take(app: &App, tenant: TenantId, instance: InstanceId, count: usize) -> Result<()> {
    let now = app.now();
    let quota = CheckQuota {
        day: u32::try_from(now.as_millis() / DAY_MS).unwrap_or_default(),
        per_instance: app.options.number_checks_per_instance,
        per_tenant: app.options.number_checks_per_tenant,
    };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if app.ledger.take_checks(tenant, instance, count, quota).await? {
        return Ok(());
    }
    let detail = "These are more numbers than WhatsApp may still be asked about today, through this instance or for this \
                  tenant; ask about fewer, or tomorrow.";
    Err(Problem::new(ErrorKind::Exhausted, "quota", detail).retry_after(until_tomorrow(now)))
}

/// Seconds until the quota is new.
fn until_tomorrow(now: Timestamp) -> u32 {
    let left_ms = DAY_MS - now.as_millis().rem_euclid(DAY_MS);
    u32::try_from(left_ms.div_euclid(1_000) + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_new_at_midnight() {
        assert_eq!(until_tomorrow(Timestamp::from_millis(3 * DAY_MS - 1_000)), 2);
        assert_eq!(until_tomorrow(Timestamp::from_millis(0)), 86_401);
    }
}
