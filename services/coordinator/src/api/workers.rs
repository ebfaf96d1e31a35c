//! What workers ask: to be attached, heard, and let go. Only the leader does.

use super::{Admitted, Api, Body, json, say};
use crate::reign::{Desk, Event, Shown};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Response, StatusCode, body::Frame};
use std::{convert::Infallible, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use warren_domain::{Shard, shard::SHARD_HASH};
use warren_raft::wire::{Attach, Code, Heard, LONGEST_NAME, Leave, Line, Notice, Refusal};

pub(super) async fn attach(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let attach: Attach = call.said()?;
    check_name(&attach.worker)?;
    if attach.shard_count != api.node.seat.shard_count || attach.hash != SHARD_HASH {
        return Err(Code::OtherShards.into());
    }
    let views = desk(api)?.ask(|reply| Event::Attach(attach, reply)).await;
    let views = views.map_err(|code| led_by(api, code))?;
    let lines = Lines {
        views,
        sent: None,
        heartbeat: api.node.options.heartbeat(),
        next_beat: Instant::now(),
        stopping: api.stopping.clone(),
    };
    let lines = futures::stream::unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), lines))
    });
    Ok(json(StatusCode::OK, StreamBody::new(lines).boxed_unsync()))
}

pub(super) async fn report(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let notice: Notice = call.said()?;
    check_name(&notice.worker)?;
    let heard = desk(api)?.ask(|reply| Event::Notice(notice, reply)).await;
    heard.map_err(|code| led_by(api, code))?;
    say(&Heard {})
}

pub(super) async fn leave(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let leave: Leave = call.said()?;
    check_name(&leave.worker)?;
    let heard = desk(api)?.ask(|reply| Event::Leave(leave, reply)).await;
    heard.map_err(|code| led_by(api, code))?;
    say(&Heard {})
}

fn check_name(name: &str) -> Result<(), Code> {
    if (1..=LONGEST_NAME).contains(&name.len()) { Ok(()) } else { Err(Code::Malformed) }
}

fn desk(api: &Api) -> Result<Desk, Refusal> {
    api.node.desk.borrow().clone().ok_or_else(|| led_by(api, Code::NoLeader))
}

/// Says who leads instead, if that is why.
fn led_by(api: &Api, code: Code) -> Refusal {
    let other = api.node.leader().filter(|leader| *leader != api.node.seat.node);
    match (code, other) {
        (Code::NoLeader, Some(leader)) => Refusal { code: Code::NotLeader, leader: Some(leader) },
        _ => code.into(),
    }
}

/// The lines of one stream. Dropped, it tells the leader that the worker's end closed.
struct Lines {
    views: watch::Receiver<Shown>,
    sent: Option<Shown>,
    heartbeat: Duration,
    next_beat: Instant,
    stopping: CancellationToken,
}

impl Lines {
    /// The next line; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        let line = loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            let shown = self.views.borrow_and_update().clone();
            let line = self.sent.as_ref().map_or_else(|| Some(self.full(&shown)), |sent| change(sent, &shown));
            if let Some(line) = line {
                self.sent = Some(shown);
                break line;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                changed = self.views.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.next_beat) => break Line::Alive,
            }
        };
        self.next_beat = Instant::now() + self.heartbeat;
        let mut text = serde_json::to_vec(&line).ok()?;
        text.push(b'\n');
        Some(text.into())
    }

    fn full(&self, shown: &Shown) -> Line {
        Line::Full {
            version: shown.version,
            shards: shown.shards.iter().map(|(shard, epoch)| (*shard, *epoch)).collect(),
            heartbeat_ms: u64::try_from(self.heartbeat.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// What is different, if anything is.
fn change(sent: &Shown, shown: &Shown) -> Option<Line> {
    if sent.shards == shown.shards {
        return None;
    }
    let assigned = shown.shards.iter().filter(|(shard, epoch)| sent.shards.get(shard) != Some(epoch));
    let withdrawn: Vec<Shard> = sent.shards.keys().filter(|shard| !shown.shards.contains_key(shard)).copied().collect();
    let assigned = assigned.map(|(shard, epoch)| (*shard, *epoch)).collect();
    Some(Line::Change { version: shown.version, assigned, withdrawn })
}
