//! Asks the lease store how everybody stands, all the time, beside the turns: it may be slow, or away.

use crate::{evidence::Start, state::State};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use warren_domain::{Error, Result};
use warren_ports::lease::{Leases, Standing};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// A lease store that takes longer is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the lease store said.
pub(super) struct Report {
    pub(super) starts: Vec<Start>,
    pub(super) standing: Result<Standing>,
    pub(super) asked: Instant,
    pub(super) answered: Instant,
}

pub(super) async fn watch(leases: Arc<dyn Leases>, state: watch::Receiver<Arc<State>>, reports: mpsc::Sender<Report>) {
    loop {
        let starts: Vec<Start> = {
            let state = state.borrow();
            state.members().iter().map(|(worker, member)| (worker.clone(), member.incarnation)).collect()
        };
        let holders: Vec<_> = starts.iter().map(|(worker, start)| (worker.to_string(), *start)).collect();
        let asked = Instant::now();
        let standing = timeout(PATIENCE, leases.standing(&holders)).await;
        let standing = standing.unwrap_or_else(|_| Err(Error::unavailable("The lease store is too slow.")));
        if reports.send(Report { starts, standing, asked, answered: Instant::now() }).await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
