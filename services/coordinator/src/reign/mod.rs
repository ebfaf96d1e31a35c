//! The leader: hears workers, judges who is dead, moves and assigns.
//!
//! A reign begins when a majority has confirmed the leader and everything agreed on before is applied; it knows nothing but the
//! state then, and what it learns is forgotten with it. It goes in turns ([`Reign::turn`]): what was heard since the last one is
//! decided on together, as one entry.

mod arrivals;
mod briefing;
mod draft;
mod lookout;
mod moves;
mod presence;
mod requests;
mod retakes;
mod turn;

pub(crate) use briefing::{Briefing, workers};
pub(crate) use presence::Shown;

use crate::{
    Error, Ports,
    command::{Command, Founding, Name},
    consensus::Stopped,
    evidence::Evidence,
    node::{ALONE, Node, leads},
    state::State,
};
use arrivals::Arrivals;
use moves::Moves;
use presence::Presence;
use requests::Request;
use retakes::Retakes;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use warren_domain::{shard::SHARD_HASH, time::Clock};
use warren_raft::wire::{Attach, Code, Leave, Notice};
use warren_runtime::health::Check;

/// Requests that wait for a turn; more are answered `busy`.
const WAITING: usize = 4_096;
/// Requests that are decided on in one turn.
const AT_ONCE: usize = 1_024;
/// A turn is taken at least this often.
const TICK: Duration = Duration::from_millis(50);
/// If a turn comes so late, this process was paused, and knows as little as a new leader.
const PAUSED: Duration = Duration::from_secs(1);
/// How long the group may take to agree. After that it is open what came of it, and the reign begins anew.
const COMMIT: Duration = Duration::from_secs(2);

/// The answer to a request; it comes when what it asks for is agreed on.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Code>>;

/// What the leader is asked.
pub(crate) enum Event {
    /// A worker is there. The answer is what it is to see, always the latest.
    Attach(Attach, Reply<watch::Receiver<Shown>>),
    /// A worker says what became of its shards.
    Notice(Notice, Reply<()>),
    /// A worker is gone.
    Leave(Leave, Reply<()>),
    /// How everything is.
    Brief(Reply<Briefing>),
}

/// Where the leader takes requests.
#[derive(Debug, Clone)]
pub(crate) struct Desk(mpsc::Sender<Event>);

impl Desk {
    /// Asks, and waits for the answer.
    pub(crate) async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, Code> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(event(reply)).map_err(|_| Code::Busy)?;
        // The reign ended.
        answer.await.unwrap_or(Err(Code::NoLeader))
    }
}

/// Leads whenever it is this coordinator's turn, for ever.
pub(crate) async fn take_turns(node: Arc<Node>, ports: &Ports, ready: &Check) -> Result<(), Error> {
    let mut metrics = node.raft.metrics();
    let mut state = node.state.clone();
    let mut leader = None;
    loop {
        let now_leads = {
            let current = metrics.borrow_and_update();
            if let Err(stopped) = &current.running_state {
                return Err(stopped.clone().into());
            }
            node.figures.term.set(i64::try_from(current.current_term).unwrap_or(i64::MAX));
            node.figures.applied.set(current.last_applied.map_or(0, |id| i64::try_from(id.index).unwrap_or(i64::MAX)));
            ready.set(current.current_leader.is_some() && node.may_vote());
            if current.current_leader.is_some() && leader != current.current_leader {
                node.figures.elections.inc();
                tracing::info!(leader = current.current_leader, term = current.current_term, "the group has a leader");
            }
            leader = current.current_leader.or(leader);
            leads(&current)
        };
        node.check_founding()?;
        if now_leads {
            reign(&node, ports).await?;
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return Err(Stopped::Stopped.into()) },
            _ = state.changed() => {}
        }
    }
}

/// Leads until somebody else does, or no majority answers any more.
async fn reign(node: &Arc<Node>, ports: &Ports) -> Result<(), Error> {
    // Everything that was agreed on before is applied after this.
    if !matches!(timeout(ALONE, node.raft.ensure_linearizable()).await, Ok(Ok(_))) {
        return Ok(());
    }
    let (desk, events) = mpsc::channel(WAITING);
    let mut metrics = node.raft.metrics();
    let lost = async {
        // The figures of a leader change all the time; if they do not, it hangs.
        while matches!(timeout(ALONE, metrics.changed()).await, Ok(Ok(()))) && leads(&metrics.borrow_and_update()) {}
    };
    let ruled = async {
        found(node, &*ports.clock).await?;
        node.check_founding().map_err(Some)?;
        node.desk.send_replace(Some(Desk(desk)));
        node.figures.is_leader.set(1);
        tracing::info!(node = node.seat.node, "this coordinator leads");
        Reign::new(node, ports, events).run().await;
        Ok::<(), Option<Error>>(())
    };
    let ended = tokio::select! {
        () = lost => Ok(()),
        ended = ruled => ended,
    };
    node.desk.send_replace(None);
    node.figures.abdicate();
    tracing::info!(node = node.seat.node, "this coordinator does not lead any more");
    match ended {
        Err(Some(error)) => Err(error),
        Ok(()) | Err(None) => Ok(()),
    }
}

/// Makes the cluster, if it is new.
async fn found(node: &Node, clock: &dyn Clock) -> Result<(), Option<Error>> {
    if node.state.borrow().founding().is_some() {
        return Ok(());
    }
    let founding = Founding {
        cluster: node.seat.credential.cluster().to_owned(),
        shard_count: node.seat.shard_count,
        hash: SHARD_HASH.to_owned(),
        // Later than any epoch of a group before it, unless that agreed on more than one entry a millisecond all its life.
        first_epoch: clock.now().as_millis(),
    };
    tracing::info!(shards = founding.shard_count.0, "the cluster is made");
    commit(node, vec![Command::Found(founding)]).await.map_err(|_| None)
}

/// The group did not agree in time, or somebody else leads.
struct Deposed;

/// Agrees on an entry; it is applied here when this returns.
async fn commit(node: &Node, commands: Vec<Command>) -> Result<(), Deposed> {
    let timer = node.figures.commit_seconds.start_timer();
    let written = timeout(COMMIT, node.raft.client_write(commands)).await;
    timer.observe_duration();
    match written {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "an entry was not agreed on");
            Err(Deposed)
        }
        Err(_) => {
            tracing::warn!("the group did not agree on an entry in time");
            Err(Deposed)
        }
    }
}

/// One time of leading.
struct Reign<'a> {
    node: &'a Node,
    events: mpsc::Receiver<Event>,
    evidence: Evidence,
    presences: BTreeMap<Name, Presence>,
    moves: Moves,
    retakes: Retakes,
    arrivals: Arrivals,
    /// What was heard since the last turn.
    requests: Vec<Request>,
    /// The state that what is known here belongs to.
    followed: Arc<State>,
    /// Whether everybody sees what is theirs.
    is_shown: bool,
    /// Whether the last turn assigned nothing because somebody was attaching.
    has_waited: bool,
    /// When the last turn ended.
    last_turn: Instant,
    /// When the first worker of a cluster without any came.
    settling_since: Option<Instant>,
    reports: mpsc::Receiver<lookout::Report>,
    /// The lease store does not answer.
    is_blind: bool,
    _lookout: AbortOnDropHandle<()>,
}

impl<'a> Reign<'a> {
    fn new(node: &'a Node, ports: &Ports, events: mpsc::Receiver<Event>) -> Self {
        let now = Instant::now();
        let (sender, reports) = mpsc::channel(1);
        let lookout = lookout::watch(Arc::clone(&ports.leases), node.state.clone(), sender);
        let mut arrivals = Arrivals::default();
        // Who was to take what, and has not yet, is not known: whoever has it says so, or is believed after a while.
        for (shard, hold) in node.state.borrow().holds() {
            arrivals.assigned(*shard, &hold.worker, hold.epoch, now);
        }
        Self {
            node,
            events,
            evidence: Evidence::new(node.options.timing(), now),
            presences: BTreeMap::new(),
            moves: Moves::new(node.options.move_batch, node.options.move_pause()),
            retakes: Retakes::default(),
            arrivals,
            requests: Vec::new(),
            followed: Arc::clone(&node.state.borrow()),
            is_shown: false,
            has_waited: false,
            last_turn: now,
            settling_since: None,
            reports,
            is_blind: false,
            _lookout: AbortOnDropHandle::new(tokio::spawn(lookout)),
        }
    }

    /// Takes turns until the group does not follow any more.
    async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                Some(report) = self.reports.recv() => self.look(report),
                _ = tick.tick() => {}
            }
            while self.requests.len() < AT_ONCE
                && let Ok(event) = self.events.try_recv()
            {
                self.hear(event);
            }
            loop {
                let Ok(again) = self.turn().await else { return };
                self.last_turn = Instant::now();
                if !again {
                    break;
                }
            }
        }
    }

    fn look(&mut self, report: lookout::Report) {
        match report.standing {
            Ok(standing) => {
                self.evidence.hear(&report.starts, &standing, report.asked, report.answered);
                if self.is_blind {
                    tracing::info!("the lease store answers again");
                }
                self.is_blind = false;
            }
            Err(error) => {
                self.evidence.lose_touch();
                if !self.is_blind {
                    tracing::warn!(%error, "the lease store does not answer; nobody is judged by it");
                }
                self.is_blind = true;
            }
        }
        self.node.figures.lease_store_away.set(i64::from(self.is_blind));
    }
}
