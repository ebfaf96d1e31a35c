//! Fault 2: a worker or a dispatcher dies, or stands still, at each named place between two durable states.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use warren_testkit::cluster::Role;
use warren_testkit::eventually;

/// What names the place to a process.
const VARIABLE: &str = "WARREN_FAULT_POINT";

const fn point(name: &'static str) -> Case {
    Case {
        fault: 2,
        name,
        repetitions: 1,
        needs: Needs { fault_points: true, ..Needs::USUAL },
        bounds: Bounds { no_failed_calls: true, ..Bounds::NONE },
        admission: Admission::Benchmark,
        inject: |trial| dies(trial).boxed_local(),
    }
}

/// A worker that stands still there instead, until others have what it had.
const fn pause(name: &'static str) -> Case {
    Case { inject: |trial| stands_still(trial).boxed_local(), ..point(name) }
}

/// Each is the place's name, and at the how many-th time the process dies or stands still there: under way, not at the start.
pub(super) const CASES: &[Case] = &[
    point("login.before:10"),
    pause("login.before:10:stop"),
    point("outbound.before_claim:20"),
    point("outbound.claimed:20"),
    point("outbound.on_wire:20"),
    point("outbound.acked:20"),
    point("outbound.reclaimed"),
    point("session.flushed:20"),
    point("inbound.pending_stored:10"),
    point("inbound.before_commit:10"),
    point("inbound.committed:10"),
    point("inbound.prekey_deleted"),
    point("webhook.delivered:20"),
    point("webhook.recorded:5"),
];

/// A process of the right kind is started again so that it dies there, and does.
async fn dies(trial: &mut Trial<'_>) -> Result<()> {
    let point = trial.case().to_owned();
    let role = if point.starts_with("webhook.") { Role::Dispatcher } else { Role::Worker };
    let patience = trial.scene.scale.patience;
    trial.strike(0).await?;
    start_again_for(trial, role, &point).await?;
    if point.starts_with("outbound.reclaimed") {
        takes_over_what_is_handed(trial).await?;
    }
    let node = trial.first(role)?;
    let ended = node.died(patience).await.with_context(|| format!("{point} is not reached"))?;
    ensure!(ended.code.is_none(), "it ended by itself and not by the fault: {}", ended.stderr);
    node.set_environment(&[(VARIABLE.to_owned(), String::new())]);
    if role == Role::Dispatcher {
        node.start_again(&[]).await?;
    }
    trial.look_again();
    Ok(())
}

/// The first process of a role is started again so that it dies or stands still at the place: perhaps before it told its
/// addresses, which are not waited for.
async fn start_again_for(trial: &mut Trial<'_>, role: Role, point: &str) -> Result<()> {
    let node = trial.first(role)?;
    node.stop().await?;
    node.set_environment(&[(VARIABLE.to_owned(), point.to_owned())]);
    node.start()
}

/// The first worker is started again so that it stands still there. It goes on when the others are online with everything,
/// and has to see that they are: from then on no login ends another one's connection.
async fn stands_still(trial: &mut Trial<'_>) -> Result<()> {
    let point = trial.case().to_owned();
    let patience = trial.scene.scale.patience;
    trial.strike(0).await?;
    start_again_for(trial, Role::Worker, &point).await?;
    let node = trial.first(Role::Worker)?;
    let (name, process) = (node.name().to_owned(), node.process_id()?);
    trial.without(&name);
    eventually(&format!("standing still at {point}"), patience, async || Ok(stands(process)?.then_some(()))).await?;
    let still = Instant::now();
    trial.scene.others_own(0).await?;
    online_elsewhere(trial).await?;
    trial.measure("stood_still_s", super::seconds_since(still));
    let replaced = trial.scene.place.simulator.stats().await?.replaced.saturating_sub(trial.began.stats.replaced);
    trial.may_replace(replaced.min(passed_before(&point)));
    let node = trial.first(Role::Worker)?;
    node.resume()?;
    node.answering().await?;
    node.set_environment(&[(VARIABLE.to_owned(), String::new())]);
    trial.look_again();
    trial.nobody_is_quarantined().await
}

/// How often a process passed the place before it stood still there: at a login, as many connections may have stayed open.
fn passed_before(point: &str) -> u64 {
    point.split(':').nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or(1).saturating_sub(1)
}

/// Whether a process stands still (SIGSTOP).
fn stands(process: u32) -> Result<bool> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).context("no state")?;
    Ok(state.trim_start().starts_with('T'))
}

/// Waits until the workers besides the first are online with every instance.
async fn online_elsewhere(trial: &Trial<'_>) -> Result<()> {
    let wanted = trial.scene.fleet.members.len();
    let waited = eventually("every instance to be online elsewhere", trial.scene.scale.patience, async || {
        let mut online = 0.0;
        for worker in trial.scene.cluster.workers.iter().skip(1) {
            online += worker.metric("warren_instances{state=\"online\"").await?;
        }
        ensure!(online as usize >= wanted, "{online} of {wanted} are online");
        Ok(Some(()))
    });
    waited.await.with_context(|| trial.scene.cluster.last_lines(4))
}

/// Lets another worker die while much of what it sent is not acknowledged: whoever has the shards next claims it again.
async fn takes_over_what_is_handed(trial: &mut Trial<'_>) -> Result<()> {
    const HANDED: Duration = Duration::from_secs(2);
    trial.first(Role::Worker)?.answering().await?;
    trial.look_again();
    trial.scene.balanced().await?;
    let simulator = trial.scene.place.simulator.clone();
    simulator.post::<Value>("/trouble", &json!({"withhold_acks": true})).await?;
    sleep(HANDED).await;
    let last = trial.cluster().workers.last_mut().context("no worker")?;
    last.kill().await?;
    simulator.post::<Value>("/trouble", &json!({"withhold_acks": false})).await?;
    trial.look_again();
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tokio::process::Command;
    use warren_testkit::Process;

    #[tokio::test]
    async fn sees_whether_a_process_stands_still() {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -STOP $$"]);
        let process = Process::start(command).unwrap();
        let id = process.id().unwrap();
        eventually("it stands still", Duration::from_secs(30), async || Ok(stands(id)?.then_some(()))).await.unwrap();
        assert!(!stands(std::process::id()).unwrap());
    }

    #[test]
    fn counts_what_passed_before() {
        assert_eq!([passed_before("a.b"), passed_before("a.b:10:stop")], [0, 9]);
    }
}
