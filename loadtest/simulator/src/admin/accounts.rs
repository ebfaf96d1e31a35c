//! Accounts under test, and the ground truth about them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Result, body, find};
use crate::account::{Account, Device};
use crate::address::{Addressing, PHONE};
use crate::world::World;

/// Every account that ever had a linked client.
pub(super) async fn list(State(world): State<Arc<World>>) -> Json<Value> {
    let accounts: Vec<Value> =
        world.directory.all().iter().filter(|account| account.state().paired).map(|account| view(account)).collect();
    Json(json!({"accounts": accounts}))
}

fn view(account: &Account) -> Value {
    let (own_copies, undecryptable, inbox) = {
        let handset = account.handset();
        (handset.own_copies, handset.undecryptable, handset.inbox.len())
    };
    let state = account.state();
    let devices: Vec<Value> = state
        .devices
        .iter()
        .map(|(id, device)| {
            let backlog = device.queue.backlog();
            json!({
                "device": id,
                "key_index": device.key_index,
                "connected": device.is_connected(),
                "logins": device.logins,
                "replaced": device.replaced,
                "pre_keys": device.one_time.len(),
                "published": device.keys.is_some(),
                "queue": device.queue.len(),
                "queued_messages": backlog.messages,
                "queued_receipts": backlog.receipts,
            })
        })
        .collect();
    json!({
        "phone": account.phone.to_string(),
        "jid": account.jid(PHONE, Addressing::Pn).to_string(),
        "lid": account.jid(PHONE, Addressing::Lid).to_string(),
        "name": state.name,
        "devices": devices,
        "phone_inbox": inbox,
        "phone_own_copies": own_copies,
        "phone_undecryptable": undecryptable,
    })
}

/// Accounts made by one request.
const COUNT_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Linked {
    /// The Noise static key of each account's companion, 64 hex digits.
    noise_keys: Vec<String>,
}

/// Makes accounts with a companion that no phone has scanned: for load that does no Signal. Nobody can encrypt for them.
pub(super) async fn link(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Value>> {
    let linked: Linked = body(&bytes)?;
    if linked.noise_keys.is_empty() || linked.noise_keys.len() > COUNT_LIMIT {
        return Err(Error::invalid(format!("noise_keys are 1 to {COUNT_LIMIT}")));
    }
    let keys = linked.noise_keys.iter().map(|key| hex::decode(key).ok()?.try_into().ok()).collect::<Option<Vec<[u8; 32]>>>();
    let keys = keys.ok_or_else(|| Error::invalid("a Noise key is 64 hex digits"))?;
    let made = tokio::task::spawn_blocking(move || {
        keys.into_iter().map(|key| with_companion(&world, key)).collect::<Result<Vec<_>>>()
    });
    let phones =
        made.await.map_err(|_| Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "making accounts failed"))??;
    Ok(Json(json!({"phones": phones})))
}

fn with_companion(world: &World, noise_key: [u8; 32]) -> Result<String> {
    let account = world.directory.obtain(None, None, world.options.lid_migrated)?;
    {
        let mut state = account.state();
        let (device, key_index) = state
            .reserve()
            .ok_or_else(|| Error::new(StatusCode::CONFLICT, "full", "the account has too many companions"))?;
        state.link(device, Device::new(key_index, noise_key, noise_key, Vec::new()));
    }
    account.touch();
    Ok(account.phone.to_string())
}

#[derive(Deserialize)]
pub(super) struct Since {
    /// How many gaps are known already.
    after: Option<u64>,
}

/// How long companions were away between two connections.
pub(super) async fn gaps(State(world): State<Arc<World>>, Query(since): Query<Since>) -> Json<Value> {
    let (gaps, count) = world.gaps.after(since.after.unwrap_or(0));
    Json(json!({"gaps": gaps, "count": count}))
}

/// What was written to each companion and what was accepted from them: the reference for checkers of loss and
/// duplicates. Bounded by `ledger_limit`; `forgotten` says how many entries are missing from the front.
pub(super) async fn ground_truth(State(world): State<Arc<World>>, Path(phone): Path<String>) -> Result<Json<Value>> {
    let account = find(&world, &phone)?;
    let state = account.state();
    let ledger = &state.ledger;
    Ok(Json(json!({
        "emitted": ledger.emitted().collect::<Vec<_>>(),
        "accepted": ledger.accepted().collect::<Vec<_>>(),
        "retry_receipts_sent": ledger.retry_receipts_sent,
        "retry_receipts_received": ledger.retry_receipts_received,
        "nacked": ledger.nacked,
        "dropped": ledger.swallowed,
        "forgotten": ledger.forgotten,
    })))
}
