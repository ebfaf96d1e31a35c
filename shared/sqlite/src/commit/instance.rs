//! What an owner writes about its instance: state, account, health, each with its event.

use crate::counters::{Subject, append};
use crate::rows::{from_maybe_json, health_number, maybe_json, millis};
use crate::transaction::Tx;
use rusqlite::{Result, params};
use warren_domain::event::NewEvent;
use warren_domain::instance::Account;
use warren_domain::{Health, InstanceState, Restriction, Timestamp};
use warren_ports::ledger::Outcome;

pub(super) fn set_state(
    tx: &Tx<'_>,
    subject: Subject,
    state: InstanceState,
    reason: Option<&str>,
    at: Timestamp,
) -> Result<Outcome> {
    // Seen online last: when it came online, and when it left.
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE instances SET
                 last_online_at = CASE WHEN state = 'online' OR ?2 = 'online' THEN ?4 ELSE last_online_at END,
                 state = ?2, reason = ?3, since = ?4
             WHERE id = ?1 AND (state <> ?2 OR reason IS NOT ?3)",
        )?
        .execute(params![subject.instance.as_bytes(), state.as_str(), reason, at.as_millis()])?;
    if rows == 0 {
        return Ok(Outcome::NoChange);
    }
    append(tx, subject, &NewEvent::state_changed(state, reason, at), 0, false)?;
    Ok(Outcome::Done)
}

pub(super) fn set_account(tx: &Tx<'_>, subject: Subject, account: &Account, event: Option<&NewEvent>) -> Result<Outcome> {
    if event.is_some_and(|event| event.kind.is_ephemeral()) {
        return Ok(super::refused("ephemeral_event", "An ephemeral event is not stored."));
    }
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE instances SET phone = ?2, jid = ?3, lid = ?4, push_name = ?5
             WHERE id = ?1 AND (phone IS NOT ?2 OR jid IS NOT ?3 OR lid IS NOT ?4 OR push_name IS NOT ?5)",
        )?
        .execute(params![subject.instance.as_bytes(), account.phone, account.jid, account.lid, account.push_name])?;
    match event {
        Some(event) => append(tx, subject, event, 0, false)?,
        None if rows == 0 => return Ok(Outcome::NoChange),
        None => {}
    }
    Ok(Outcome::Done)
}

pub(super) fn set_health(tx: &Tx<'_>, subject: Subject, health: &Health, at: Timestamp) -> Result<Outcome> {
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE instances SET health_status = ?2, health_reason = ?3, last_stanza_at = ?4, rtt_ms = ?5
             WHERE id = ?1 AND (health_status <> ?2 OR health_reason IS NOT ?3)",
        )?
        .execute(params![
            subject.instance.as_bytes(),
            health_number(health.status),
            health.reason,
            millis(health.last_stanza_at),
            health.rtt_ms,
        ])?;
    if rows == 0 {
        return Ok(Outcome::NoChange);
    }
    append(tx, subject, &NewEvent::health_changed(health, at), 0, false)?;
    Ok(Outcome::Done)
}

pub(super) fn set_restriction(
    tx: &Tx<'_>,
    subject: Subject,
    restriction: Option<&Restriction>,
    at: Timestamp,
) -> Result<Outcome> {
    let known: Option<Restriction> = tx
        .conn
        .prepare_cached("SELECT restriction FROM instances WHERE id = ?1")?
        .query_row([subject.instance.as_bytes()], |row| from_maybe_json(row, 0))?;
    if known.as_ref() == restriction {
        return Ok(Outcome::NoChange);
    }
    tx.conn
        .prepare_cached("UPDATE instances SET restriction = ?2 WHERE id = ?1")?
        .execute(params![subject.instance.as_bytes(), maybe_json(restriction)?])?;
    if let Some(told) = restriction.or(known.as_ref()) {
        append(tx, subject, &NewEvent::account_restricted(told, restriction.is_none(), at), 0, false)?;
    }
    Ok(Outcome::Done)
}
