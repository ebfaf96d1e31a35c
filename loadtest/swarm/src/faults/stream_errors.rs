//! Fault 16: what WhatsApp says when it ends a connection. Accounts beside the fleet hear it; the fleet does not notice.

use super::{Admission, Bounds, Case, Needs, Trial};
use crate::load::{Fleet, Member};
use anyhow::{Result, ensure};
use futures::FutureExt as _;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use warren_testkit::{Api, eventually};

pub(super) const CASES: &[Case] = &[Case {
    fault: 16,
    name: "every kind at once",
    repetitions: 5,
    needs: Needs::USUAL,
    bounds: Bounds { no_failed_calls: true, no_doubt: true, ..Bounds::NONE },
    admission: Admission::Benchmark,
    inject: |trial| every_kind(trial).boxed_local(),
}];

/// A request to the simulator's admin API.
type Said = (&'static str, fn() -> Value);

/// What is said, and which state follows from it, and why.
struct Row {
    /// One after the other.
    said: &'static [Said],
    state: &'static str,
    reason: Option<&'static str>,
    logs_in_again: bool,
}

const fn back(said: &'static [Said]) -> Row {
    Row { said, state: "online", reason: None, logs_in_again: true }
}

const fn stays(said: &'static [Said], state: &'static str, reason: Option<&'static str>) -> Row {
    Row { said, state, reason, logs_in_again: false }
}

const ROWS: &[Row] = &[
    back(&[("drop", || json!({}))]),
    back(&[("stream-error", || json!({"conflict": "replaced"}))]),
    back(&[("stream-error", || json!({"code": 503}))]),
    back(&[("stream-error", || json!({"code": 515}))]),
    back(&[("failure", || json!({"reason": 503})), ("drop", || json!({}))]),
    stays(&[("stream-error", || json!({"code": 401, "conflict": "device_removed"}))], "logged_out", Some("removed")),
    stays(&[("failure", || json!({"reason": 403})), ("drop", || json!({}))], "logged_out", Some("account_locked")),
    stays(&[("failure", || json!({"reason": 402})), ("drop", || json!({}))], "restricted", None),
    // It waits a minute before it connects again.
    stays(&[("stream-error", || json!({"code": 429}))], "connecting", Some("stream_error")),
];

async fn every_kind(trial: &mut Trial<'_>) -> Result<()> {
    let place = trial.scene.place.clone();
    let subjects = Fleet::pair(&place, ROWS.len(), 0).await?;
    let mut rows: Vec<_> = ROWS.iter().zip(subjects.members).collect();
    rows.shuffle(&mut trial.rng);
    // Some of them connect again beside the fleet.
    trial.strike(0).await?;
    let logins = place.simulator.accounts().await?;
    for (row, member) in &rows {
        for (what, body) in row.said {
            place.simulator.post::<Value>(&format!("/accounts/{}/{what}", member.phone), &body()).await?;
        }
    }
    let patience = trial.scene.scale.patience;
    let api = Api::new(&place.endpoints.at(0), &place.key)?;
    for (row, member) in &rows {
        let before = logins.iter().find(|account| account.phone == member.phone).map_or(0, |account| account.logins());
        let what = format!("the state {}", row.state);
        let seen = eventually(&what, patience, async || follows(row, member, before, &api, trial).await).await;
        if let Err(error) = seen {
            trial.wrong(format!("after {:?}: {error:#}", row.said.iter().map(|(what, _)| what).collect::<Vec<_>>()));
        }
    }
    // They are nobody's to wait for any more.
    for (_, member) in &rows {
        let answer = api.delete(&format!("/v1/instances/{}", member.id)).await?;
        ensure!(answer.status.is_success(), "an instance was not deleted: {}", answer.text);
    }
    Ok(())
}

/// Whether what should follow has followed.
async fn follows(row: &Row, member: &Member, before: u64, api: &Api, trial: &Trial<'_>) -> Result<Option<()>> {
    let instance = api.instance(&member.id).await?;
    let seen = (instance.state.as_str(), instance.reason.as_deref());
    ensure!(seen.0 == row.state && (row.reason.is_none() || seen.1 == row.reason), "it is {seen:?}");
    if row.logs_in_again {
        let accounts = trial.scene.place.simulator.accounts().await?;
        let now = accounts.iter().find(|account| account.phone == member.phone).map_or(0, |account| account.logins());
        ensure!(now > before, "it did not log in again");
    }
    Ok(Some(()))
}
