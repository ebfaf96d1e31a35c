//! What an owner writes about its instances: state, account, health, restriction, each with its event.
//!
//! Nobody but the owner writes these columns, so what was read here is what is stored until it is written here.

use super::{Item, Result, Tx, changed};
use crate::counters::Entry;
use crate::rows::{Id, from_maybe_json, health, health_number, id, maybe_json, maybe_time, millis, time};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::HashMap;
use uuid::Uuid;
use warren_domain::event::NewEvent;
use warren_domain::instance::Account;
use warren_domain::{Health, InstanceId, InstanceState, Restriction, Timestamp};
use warren_ports::ledger::Op;

/// The columns of an instance that its owner writes.
struct Owned {
    state: String,
    reason: Option<String>,
    since: Timestamp,
    last_online_at: Option<Timestamp>,
    account: [Option<String>; 4],
    health: Health,
    restriction: Option<Restriction>,
    changed: bool,
}

impl Owned {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            state: row.try_get(1)?,
            reason: row.try_get(2)?,
            since: time(row, 3)?,
            last_online_at: maybe_time(row, 4)?,
            account: [row.try_get(5)?, row.try_get(6)?, row.try_get(7)?, row.try_get(8)?],
            health: health(row, 9)?,
            restriction: from_maybe_json(row, 13)?,
            changed: false,
        })
    }

    fn set_state(&mut self, state: InstanceState, reason: Option<&str>, at: Timestamp) -> Option<NewEvent> {
        if self.state == state.as_str() && self.reason.as_deref() == reason {
            return None;
        }
        // Seen online last: when it came online, and when it left.
        let online = InstanceState::Online.as_str();
        if self.state == online || state.as_str() == online {
            self.last_online_at = Some(at);
        }
        self.state = state.as_str().to_owned();
        self.reason = reason.map(str::to_owned);
        self.since = at;
        Some(NewEvent::state_changed(state, reason, at))
    }

    fn set_account(&mut self, account: &Account) -> bool {
        let account = account.clone();
        let account =
            [Some(account.phone), Some(account.jid), account.lid, account.push_name.map(|name| crate::rows::shown(&name))];
        let is_new = self.account != account;
        self.account = account;
        is_new
    }

    fn set_health(&mut self, health: &Health, at: Timestamp) -> Option<NewEvent> {
        if self.health.status == health.status && self.health.reason == health.reason {
            return None;
        }
        self.health = health.clone();
        Some(NewEvent::health_changed(health, at))
    }

    /// The event says what there is from now on, or what there was.
    fn set_restriction(&mut self, restriction: Option<Restriction>, at: Timestamp) -> Option<NewEvent> {
        if self.restriction == restriction {
            return None;
        }
        let told = restriction.or(self.restriction);
        self.restriction = restriction;
        told.map(|told| NewEvent::account_restricted(&told, restriction.is_none(), at))
    }
}

/// Carries out what is written about instances.
pub(super) async fn set(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<()> {
    let concerned = |op: &Op| {
        matches!(op, Op::SetState { .. } | Op::SetAccount { .. } | Op::SetHealth { .. } | Op::SetRestriction { .. })
    };
    let items: Vec<Item<'_>> = items.iter().filter(|item| concerned(&item.write.op)).copied().collect();
    if items.is_empty() {
        return Ok(());
    }
    let mut owned = load(&mut *tx.conn, &items).await?;
    for item in items {
        // It was there when the fence was compared; if it is purged since, there is nothing to change.
        let done = match owned.get_mut(&item.write.instance) {
            Some(owned) => apply(tx, item, owned)?,
            None => false,
        };
        tx.settle(item, changed(u64::from(done)));
    }
    store(&mut *tx.conn, owned.into_iter().filter(|(_, owned)| owned.changed).collect()).await?;
    Ok(())
}

fn apply(tx: &mut Tx<'_>, item: Item<'_>, owned: &mut Owned) -> Result<bool> {
    let event = match &item.write.op {
        Op::SetState { state, reason, at } => owned.set_state(*state, reason.as_deref(), *at),
        Op::SetHealth { health, at } => owned.set_health(health, *at),
        Op::SetRestriction { restriction, at } => owned.set_restriction(*restriction, *at),
        Op::SetAccount { account, event } => {
            let is_new = owned.set_account(account);
            owned.changed |= is_new;
            if event.is_none() {
                return Ok(is_new);
            }
            event.clone()
        }
        _ => None,
    };
    let Some(event) = event else { return Ok(false) };
    owned.changed = true;
    let entry = Entry::new(item.subject(), &event)?;
    tx.append(item, entry);
    Ok(true)
}

async fn load(conn: &mut PgConnection, items: &[Item<'_>]) -> sqlx::Result<HashMap<InstanceId, Owned>> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.write.instance.uuid()).collect();
    let rows = sqlx::query(
        "SELECT id, state, reason, since, last_online_at, phone, jid, lid, push_name, health_status, health_reason,
                last_stanza_at, rtt_ms, restriction
         FROM instances WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((id(row, 0)?, Owned::read(row)?))).collect()
}

async fn store(conn: &mut PgConnection, mut changed: Vec<(InstanceId, Owned)>) -> sqlx::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    changed.sort_by_key(|(instance, _)| *instance);
    let account = |of: fn(&[Option<String>; 4]) -> &Option<String>| {
        changed.iter().map(|(_, owned)| of(&owned.account).as_deref()).collect::<Vec<_>>()
    };
    let restrictions =
        changed.iter().map(|(_, owned)| maybe_json(owned.restriction.as_ref())).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "UPDATE instances i
         SET state = n.state, reason = n.reason, since = n.since, last_online_at = n.last_online_at, phone = n.phone,
             jid = n.jid, lid = n.lid, push_name = n.push_name, health_status = n.health_status,
             health_reason = n.health_reason, last_stanza_at = n.last_stanza_at, rtt_ms = n.rtt_ms, restriction = n.restriction
         FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[], $7::TEXT[], $8::TEXT[],
                     $9::TEXT[], $10::SMALLINT[], $11::TEXT[], $12::BIGINT[], $13::BIGINT[], $14::TEXT[])
              AS n (id, state, reason, since, last_online_at, phone, jid, lid, push_name, health_status, health_reason,
                    last_stanza_at, rtt_ms, restriction)
         WHERE i.id = ANY($1) AND i.id = n.id",
    )
    .bind(changed.iter().map(|(instance, _)| instance.uuid()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| owned.state.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| owned.reason.as_deref()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| owned.since.as_millis()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| millis(owned.last_online_at)).collect::<Vec<_>>())
    .bind(account(|[phone, _, _, _]| phone))
    .bind(account(|[_, jid, _, _]| jid))
    .bind(account(|[_, _, lid, _]| lid))
    .bind(account(|[_, _, _, push_name]| push_name))
    .bind(changed.iter().map(|(_, owned)| health_number(owned.health.status)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| owned.health.reason.as_deref()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| millis(owned.health.last_stanza_at)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, owned)| owned.health.rtt_ms.map(i64::from)).collect::<Vec<_>>())
    .bind(restrictions)
    .execute(conn)
    .await?;
    Ok(())
}
