//! The stream from the leader: found, followed, and found again.

use crate::{
    Attachment, Failure, Request,
    placement::Shared,
    view::Stale,
    wire::{ATTACH, Attach, Code, Line, NodeId},
};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use warren_domain::shard::SHARD_HASH;

/// How long a coordinator may take to accept the worker: it may have to commit that first.
const ACCEPT: Duration = Duration::from_secs(2);
/// So many heartbeats may be missing before the leader counts as gone.
const MISSED: u32 = 4;
/// A heartbeat is never waited for shorter or longer than this, whatever the leader says.
const HEARTBEAT: std::ops::RangeInclusive<u64> = 10..=10_000;
/// The longest line, bytes: every shard that there can be.
const LONGEST_LINE: usize = 4 << 20;
/// The pause before the next coordinator is asked: a random part of it, which grows while nobody accepts.
const PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(200);
/// The pause after a refusal that will not change by itself.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// Keeps the worker attached, for ever.
///
/// Streams are opened and followed on the runtime apart, but never by themselves: a process whose tasks stand still, and which is
/// taken for dead for that, does not attach itself anew.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut route = Route::new(shared.options.group.size());
    let mut has_distrusted = false;
    loop {
        let node = route.next();
        let failure = match open(&shared, node).await {
            Ok(stream) => {
                has_distrusted = false;
                let end = follow(&shared, node, stream, &mut route).await;
                tracing::info!(leader = node, reason = %end, "the stream from the leader ended");
                shared.attach_state(Attachment::Seeking);
                route.pause().await;
                continue;
            }
            Err(failure) => failure,
        };
        tracing::debug!(node, %failure, "a coordinator did not accept this worker");
        match failure {
            Failure::Refused(refusal) if refusal.code == Code::NotLeader => route.redirect(refusal.leader),
            Failure::Refused(refusal) if is_final(refusal.code) => {
                refuse(&shared, refusal.code);
                tokio::time::sleep(REFUSED_PAUSE.mul_f64(rand::random_range(0.5..1.0))).await;
            }
            Failure::Untrusted(reason) => {
                if !has_distrusted {
                    tracing::warn!(
                        node,
                        reason,
                        "what answers as a coordinator does not prove itself as cluster.tls_authority has it"
                    );
                }
                has_distrusted = true;
                shared.attach_state(Attachment::Seeking);
            }
            Failure::Refused(_) | Failure::Unreachable(_) | Failure::Late | Failure::Malformed => {
                shared.attach_state(Attachment::Seeking);
            }
        }
        route.pause().await;
    }
}

/// Whether it will not change by itself.
const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::WrongSecret
            | Code::PlainHttp
            | Code::OtherCluster
            | Code::UnknownProtocol
            | Code::WrongTarget
            | Code::OtherShards
            | Code::Superseded
            | Code::Malformed
    )
}

fn refuse(shared: &Shared, code: Code) {
    if *shared.attachment.borrow() != Attachment::Refused(code) {
        tracing::error!(reason = code.as_str(), "the coordinators refuse this worker: {code}");
    }
    if code == Code::Superseded {
        shared.with_view(|view| view.lose_everything());
    }
    shared.attach_state(Attachment::Refused(code));
}

async fn open(shared: &Arc<Shared>, node: NodeId) -> Result<Incoming, Failure> {
    let here = Arc::clone(shared);
    let opened = shared.apart(async move { attach(&here, node).await }).await;
    opened.unwrap_or(Err(Failure::Unreachable("the process is ending".to_owned())))
}

async fn follow(shared: &Arc<Shared>, node: NodeId, stream: Incoming, route: &mut Route) -> End {
    let here = Arc::clone(shared);
    let followed = shared.apart(async move { Lines::new(stream).follow(&here, node).await }).await;
    let (is_accepted, end) = followed.unwrap_or((false, End::Closed));
    if is_accepted {
        route.accepted(node);
    }
    end
}

async fn attach(shared: &Shared, node: NodeId) -> Result<Incoming, Failure> {
    let options = &shared.options;
    let attach = Attach {
        worker: options.worker.clone(),
        incarnation: options.incarnation,
        weight: options.weight,
        shard_count: options.shard_count,
        hash: SHARD_HASH.to_owned(),
        draining: shared.look(crate::view::View::is_draining),
    };
    let address = options.group.address(node).unwrap_or_default();
    shared.streams.open(Request { address, path: ATTACH, sender: 0, target: node }, &attach, ACCEPT).await
}

/// Which coordinator is asked next.
#[derive(Debug)]
struct Route {
    size: u64,
    next: NodeId,
    redirected: bool,
    failures: u32,
}

impl Route {
    fn new(size: usize) -> Self {
        let size = size.max(1) as u64;
        Self { size, next: rand::random_range(1..=size), redirected: false, failures: 0 }
    }

    fn next(&mut self) -> NodeId {
        let node = self.next;
        self.next = node % self.size + 1;
        self.redirected = false;
        node
    }

    /// Somebody knows who leads. Two that name each other are asked with growing pauses.
    fn redirect(&mut self, leader: Option<NodeId>) {
        if let Some(leader) = leader.filter(|leader| (1..=self.size).contains(leader)) {
            self.next = leader;
            self.redirected = true;
        }
    }

    fn accepted(&mut self, node: NodeId) {
        self.failures = 0;
        self.next = node;
    }

    /// Waits before the next one is asked. A name that was just given is asked at once, the first time.
    async fn pause(&mut self) {
        let longest = PAUSE.start().saturating_mul(1 << self.failures.min(8)).min(*PAUSE.end());
        self.failures = self.failures.saturating_add(1);
        if !(self.redirected && self.failures == 1) {
            tokio::time::sleep(longest.mul_f64(rand::random())).await;
        }
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it closed it")]
    Closed,
    #[error("it is silent")]
    Silent,
    #[error("it sends what makes no sense")]
    Malformed,
    #[error("it is behind the leader before")]
    Stale,
    #[error("it does not know this worker")]
    Unknown,
}

impl From<Stale> for End {
    fn from(Stale: Stale) -> Self {
        Self::Stale
    }
}

/// The lines of a stream.
struct Lines {
    stream: Incoming,
    read: BytesMut,
    silence: Duration,
}

impl Lines {
    fn new(stream: Incoming) -> Self {
        Self { stream, read: BytesMut::new(), silence: ACCEPT }
    }

    /// Does what it says, until it ends. Whether its sender accepted the worker, and why it ended.
    async fn follow(mut self, shared: &Shared, node: NodeId) -> (bool, End) {
        let mut is_accepted = false;
        loop {
            let line = tokio::select! {
                line = timeout(self.silence, self.next()) => line.unwrap_or(Err(End::Silent)),
                () = shared.detached.notified(), if shared.leader() == Some(node) => Err(End::Unknown),
            };
            match line {
                Ok(Line::Alive) => {}
                Ok(line) => {
                    if let Line::Full { heartbeat_ms, .. } = &line {
                        let heartbeat = (*heartbeat_ms).clamp(*HEARTBEAT.start(), *HEARTBEAT.end());
                        self.silence = Duration::from_millis(heartbeat) * MISSED;
                    }
                    let is_first = matches!(line, Line::Full { .. });
                    if let Err(stale) = shared.with_view(|view| view.hear(line)) {
                        return (is_accepted, stale.into());
                    }
                    if is_first {
                        // What was rung for a stream before this one is no news.
                        let _ = shared.detached.notified().now_or_never();
                        is_accepted = true;
                        shared.attach_state(Attachment::Attached(node));
                        tracing::info!(leader = node, "attached to the leader");
                    }
                }
                Err(end) => return (is_accepted, end),
            }
        }
    }

    async fn next(&mut self) -> Result<Line, End> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end);
                self.read.advance(1);
                return serde_json::from_slice(&line).map_err(|_| End::Malformed);
            }
            if self.read.len() > LONGEST_LINE {
                return Err(End::Malformed);
            }
            let frame = self.stream.frame().await.ok_or(End::Closed)?.map_err(|_| End::Closed)?;
            self.read.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
        }
    }
}
