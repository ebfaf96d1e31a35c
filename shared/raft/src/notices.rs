//! What the leader has not heard is told to it, until it has; and every half second that the worker is there.

use crate::{
    Failure, Request,
    placement::Shared,
    view::View,
    wire::{Code, Heard, Notice, REPORT},
};
use std::{sync::Arc, time::Duration};

/// How often the worker says that it is there.
pub(crate) const PULSE: Duration = Duration::from_millis(500);
/// How long one try takes.
const TRY: Duration = Duration::from_secs(1);
/// The pause after a failed try is a random part of this.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn send(shared: Arc<Shared>) {
    let mut attachment = shared.attachment.subscribe();
    loop {
        // Its pulse makes the worker a living one to the leader: only a process that runs comes by here.
        tokio::select! {
            () = shared.unheard.notified() => {}
            _ = attachment.changed() => {}
            () = tokio::time::sleep(PULSE) => {}
        }
        if let Some(leader) = shared.leader()
            && let Err(failure) = tell(&shared, leader).await
        {
            tracing::debug!(%failure, leader, "the leader did not hear a report; it is told again");
            if failure == Failure::Refused(Code::UnknownWorker.into()) {
                shared.detached.notify_one();
            }
            tokio::time::sleep(PAUSE.mul_f64(rand::random())).await;
            if !shared.look(View::is_heard) {
                shared.unheard.notify_one();
            }
        }
    }
}

async fn tell(shared: &Shared, leader: u64) -> Result<(), Failure> {
    let options = &shared.options;
    let Some(address) = options.group.address(leader) else { return Ok(()) };
    let notice = Notice { worker: options.worker.clone(), incarnation: options.incarnation.0, ..shared.look(View::notice) };
    let request = Request { address, path: REPORT, sender: 0, target: leader };
    shared.caller.post::<Heard>(request, &notice, TRY).await?;
    shared.with_view(|view| view.heard(&notice));
    Ok(())
}
