//! From signals to the stop.

use crate::Lifecycle;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a process to stop: SIGTERM and SIGINT. From its making on they no longer kill it.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop, and everything ended by itself.
    Clean,
    /// It was asked to stop, and something was cut off after the grace or at a second signal.
    Cut,
    /// An essential task ended by itself; its name.
    Crashed(&'static str),
}

impl Signals {
    /// Takes over the signals.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Lets a life go on until the first signal or until it stops by itself, then stops it: softly for at most `grace`, hard
    /// at a second signal.
    pub async fn end(mut self, lifecycle: &Lifecycle, grace: Duration) -> End {
        tokio::select! {
            () = self.next() => tracing::info!("stopping"),
            () = lifecycle.stopping() => {}
        }
        let clean = lifecycle.stop(grace, self.next()).await;
        match (lifecycle.crashed(), clean) {
            (Some(task), _) => End::Crashed(task),
            (None, true) => End::Clean,
            (None, false) => End::Cut,
        }
    }
}
