//! Asking the owner of a shard.

use crate::bus::Inner;
use crate::clock::ProcessTime;
use crate::envelope::{Head, Kind, Place};
use crate::pending::{Heard, Waiting};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use warren_domain::Shard;
use warren_ports::bus::ask::{Refusal, RefusalKind};
use warren_ports::bus::{Command, Reply, RequestError};

/// The pauses before a request that nobody took is made again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Inner {
    /// Asks until somebody took it, or the deadline passes.
    pub(crate) async fn request(&self, shard: Shard, command: &Command, until: Instant) -> Result<Reply, RequestError> {
        let started = Instant::now();
        let Some(waiting) = self.pending.open() else { return Err(RequestError::Unavailable) };
        let mut pause = FIRST_PAUSE;
        let mut clock = None;
        loop {
            if !self.link.is_up() && !matches!(timeout_at(until, self.link.up()).await, Ok(Ok(()))) {
                return Err(RequestError::Unavailable);
            }
            if let Some(refused) = self.send(shard, command, &waiting, until, clock).await? {
                return Ok(refused);
            }
            match timeout_at(until, self.outcome(&waiting, started)).await {
                Ok(Heard::Reply(reply)) => return Ok(reply),
                Ok(Heard::NotTaken) => {}
                Ok(Heard::OtherTime(there)) => {
                    // The first time nothing speaks for a pause.
                    if clock.replace((there, Instant::now())).is_none() {
                        self.metrics.retries.inc();
                        continue;
                    }
                }
                // Sent, and not known to be refused: somebody may be carrying it out.
                Ok(Heard::Away) if !self.link.is_closed() => return Err(RequestError::Timeout),
                Ok(Heard::Away) => return Err(RequestError::Unavailable),
                Err(_) => return Err(RequestError::Timeout),
            }
            self.metrics.retries.inc();
            // Another server may have taken it, or would.
            let over = until.min(Instant::now() + pause);
            while let Ok(heard) = timeout_at(over, waiting.heard_of_a_taker()).await {
                match heard {
                    Heard::Reply(reply) => return Ok(reply),
                    Heard::OtherTime(there) => clock = Some((there, Instant::now())),
                    Heard::NotTaken | Heard::Away => {}
                }
            }
            if Instant::now() >= until {
                return Err(RequestError::NoResponder);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What is heard of a request; that the bus went away only when nothing can be hoped for any more.
    async fn outcome(&self, waiting: &Waiting, started: Instant) -> Heard {
        let mut heard = waiting.heard().await;
        while heard == Heard::Away {
            tokio::select! {
                biased;
                again = waiting.heard() => heard = again,
                () = self.link.given_up(started) => break,
            }
        }
        heard
    }

    /// Sends the request; returns the refusal if it is too large.
    async fn send(
        &self,
        shard: Shard,
        command: &Command,
        waiting: &Waiting,
        until: Instant,
        clock: Option<(ProcessTime, Instant)>,
    ) -> Result<Option<Reply>, RequestError> {
        let (subject, answer) = (self.subjects.command(shard), self.subjects.answer(waiting.id()));
        let place = Place { subject: &subject, answer: &answer };
        let clock = clock.map(|(there, heard)| there.after(heard.elapsed()));
        let frame = self.envelopes.seal(place, self.head(waiting, until, clock), |frame| {
            frame.extend(clock.iter().flat_map(|clock| clock.process));
            serde_json::to_writer(frame, command)
        });
        // A command is plain data: writing it does not fail.
        let frame: Bytes = frame.map_err(|_| RequestError::Unavailable)?;
        if frame.len() > self.client.max_payload() {
            return Ok(Some(Reply::Refused(too_large("The request is larger than what can be passed on."))));
        }
        let sent = self.client.publish_with_reply(subject, answer, frame);
        tokio::select! {
            biased;
            sent = timeout_at(until, sent) => match sent {
                Ok(Ok(())) => Ok(None),
                _ => Err(RequestError::Unavailable),
            },
            // The queue to the server does not move.
            () = self.link.given_up(Instant::now()) => Err(RequestError::Unavailable),
        }
    }

    /// Of a request, by the clock of the process that is to take it, if it told that ours is not its own.
    fn head(&self, waiting: &Waiting, until: Instant, clock: Option<ProcessTime>) -> Head {
        let (kind, issued) = clock.map_or_else(|| (Kind::Request, self.now()), |clock| (Kind::RequestByProcess, clock.at));
        Head { kind, id: waiting.id(), issued, until: issued.after(until.saturating_duration_since(Instant::now())) }
    }
}

pub(crate) fn too_large(detail: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, "too_large", detail)
}
