//! What only the leader knows, for whoever asks how the cluster is.

use super::Reign;
use crate::scheduler;
use tokio::time::Instant;
use warren_raft::status::{Link, Moves, Recovery, Worker};

/// How the cluster is, as the leader sees it.
#[derive(Debug)]
pub(crate) struct Briefing {
    pub(crate) workers: Vec<Worker>,
    pub(crate) moves: Moves,
    pub(crate) recovery: Option<Recovery>,
}

impl Reign<'_> {
    pub(super) fn brief(&self) -> Briefing {
        let now = Instant::now();
        let state = self.node.state.borrow().clone();
        let mut workers = workers(&state);
        for worker in &mut workers {
            let presence = self.presences.get(worker.worker.as_str());
            let presence = presence.filter(|presence| presence.incarnation.0 == worker.incarnation);
            worker.link = presence.map_or(Link::CutOff, |presence| presence.link(now));
            let start = (worker.worker.as_str().into(), warren_ports::lease::Incarnation(worker.incarnation));
            let proven = self.evidence.renewed(&start).max(presence.and_then(|presence| presence.heard));
            worker.proven_ms = proven.map(|proven| millis(now.saturating_duration_since(proven)));
        }
        let planned = self.around(&state, now).of(&state).planned();
        let moves = Moves { planned: count(planned), under_way: count(self.moves.len()) };
        Briefing { workers, moves, recovery: self.arrivals.recovery(now) }
    }
}

/// The workers as the state has them.
pub(crate) fn workers(state: &crate::state::State) -> Vec<Worker> {
    let (loads, targets) = (state.loads(), scheduler::targets(state));
    let worker = |(name, member): (&crate::command::Name, &crate::state::Member)| Worker {
        worker: name.to_string(),
        incarnation: member.incarnation.0,
        weight: member.weight,
        draining: member.draining,
        link: Link::Unknown,
        proven_ms: None,
        shards: count(loads.get(name).copied().unwrap_or_default()),
        target: count(targets.get(name).copied().unwrap_or_default()),
    };
    state.members().iter().map(worker).collect()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
