//! `warren cluster status`: who is there, who leads, who owns how much, and what is under way.

use crate::args::Cluster;
use crate::compose::cluster;
use crate::failure::Failure;
use crate::{serve, settings};
use std::fmt::Write;
use warren_raft::Status;
use warren_raft::status::{Link, Recovery};

/// Asks the coordinators, and shows what they say.
pub(crate) async fn run(what: Cluster) -> Result<(), Failure> {
    let Cluster::Status(common) = what;
    let settings = settings::load(&common)?.config;
    let status = warren_raft::status(&cluster::group(&settings)?).await;
    let status = status.map_err(|error| Failure::unavailable(error.detail))?;
    serve::say(&render(&status));
    Ok(())
}

fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let leader = status.leader.map_or_else(|| "nobody leads".to_owned(), |leader| format!("coordinator {leader} leads"));
    let _ = writeln!(text, "cluster {}: {leader}, term {}, entry {}", status.cluster, status.term, status.applied);
    let _ = writeln!(text, "\ncoordinators");
    for node in &status.coordinators {
        let state = match (node.answers, node.behind) {
            (Some(true), Some(0) | None) => "answers".to_owned(),
            (Some(true), Some(behind)) => format!("answers, {behind} entries behind"),
            (Some(false), _) => "does not answer".to_owned(),
            (None, _) => "unknown".to_owned(),
        };
        let _ = writeln!(text, "  {:<3} {:<24} {state}", node.node, node.address);
    }
    let _ = writeln!(text, "\nworkers");
    for worker in &status.workers {
        let link = match worker.link {
            Link::Attached => "attached",
            Link::Silent => "silent",
            Link::CutOff => "cut off",
            Link::Unknown => "unknown",
        };
        let proven = worker.proven_ms.map_or_else(String::new, |ago| format!(", lived {ago} ms ago"));
        let draining = if worker.draining { ", draining" } else { "" };
        let _ = writeln!(
            text,
            "  {:<24} {:>5} of {:>5} shards, {link}{proven}{draining}",
            worker.worker, worker.shards, worker.target
        );
    }
    let count = status.shard_count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let _ = writeln!(text, "\nshards {count}, without an owner {}", status.unassigned);
    if status.moves.planned + status.moves.under_way > 0 {
        let _ = writeln!(text, "moving: {} under way, {} planned", status.moves.under_way, status.moves.planned);
    }
    if let Some(recovery) = &status.recovery {
        let _ = writeln!(text, "{}", recovering(recovery));
    }
    text
}

fn recovering(recovery: &Recovery) -> String {
    let estimate = recovery.remaining_ms.map_or_else(|| "not known yet".to_owned(), |left| format!("about {left} ms"));
    format!(
        "recovering: {} of {} shards left after {} ms; remaining {estimate}",
        recovery.left, recovery.shards, recovery.elapsed_ms
    )
}
