//! The actor: rests, or connects again and again, until its shard is given up.

use super::{
    Mail,
    failures::Failures,
    live::{Live, LiveEnd, Relapses},
    pairing::PairingProgress,
    policy::{Ending, Policy, TEMPORARY_BAN, policy},
    waiting::Waiting,
};
use crate::{
    admission::Urgency,
    client::{Link, LinkParts},
    outbound::pace::Pacer,
    owner::Owner,
    shared::Shared,
    transport::Loss,
};
use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use warren_domain::{ErrorKind, Instance, InstanceState, Result};
use warren_ports::{
    bus::{Action, PairingState, Refusal, Reply},
    ledger::Op,
};

/// A connection that held this long was a good one: the backoff starts anew.
const STABLE: Duration = Duration::from_secs(30);
/// How long a write of the actor spares a login its own fence: as long as a slow login takes after it.
const FENCE_HOLDS: Duration = Duration::from_millis(250);
/// Three kicks within this span quarantine the instance.
const KICK_WINDOW: Duration = Duration::from_secs(600);
const KICK_LIMIT: usize = 3;

/// What the instance is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Left alone.
    Rest,
    /// Linked to a phone.
    Pair,
    /// Logged in.
    Online,
}

/// What an actor is made of.
pub(crate) struct ActorParts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) owner: Arc<Owner>,
    pub(crate) instance: Instance,
    pub(crate) mailbox: mpsc::Receiver<Mail>,
    /// Sealed device and wrapped data key, as the shard loaded them in bulk.
    pub(crate) device: Option<Vec<u8>>,
    pub(crate) data_key: Option<Vec<u8>>,
}

/// One instance under one epoch.
pub(crate) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Arc<Owner>,
    pub(super) instance: Instance,
    pub(super) mailbox: mpsc::Receiver<Mail>,
    pub(super) loaded_device: Option<Vec<u8>>,
    pub(super) loaded_data_key: Option<Vec<u8>>,
    pub(super) intent: Intent,
    pub(super) pairing: PairingProgress,
    pub(super) failures: Failures,
    pub(super) pacer: Pacer,
    pub(super) relapses: Relapses,
    /// What is asked before it is online.
    pub(super) waiting: Waiting,
    /// When it last committed a write without a client of its own.
    pub(super) fenced_at: Option<Instant>,
    not_before: Option<Instant>,
    kicks: VecDeque<Instant>,
    owned_since: Instant,
    /// Whether what the edge may change of the instance could have changed since it was read.
    settings_aged: bool,
}

impl Actor {
    pub(crate) fn new(parts: ActorParts) -> Self {
        let intent = if parts.instance.state.reconnects() { Intent::Online } else { Intent::Rest };
        let pace = parts.shared.options.pace(&parts.shared.ports.endpoint.network);
        Self {
            pacer: Pacer::new(pace, Instant::now(), rand::random()),
            relapses: Relapses::default(),
            waiting: Waiting::default(),
            shared: parts.shared,
            owner: parts.owner,
            instance: parts.instance,
            mailbox: parts.mailbox,
            loaded_device: parts.device,
            loaded_data_key: parts.data_key,
            intent,
            pairing: PairingProgress::none(),
            failures: Failures::default(),
            fenced_at: None,
            not_before: None,
            kicks: VecDeque::new(),
            owned_since: Instant::now(),
            settings_aged: false,
        }
    }

    /// Lives until it is stopped, deleted, or its shard is lost.
    pub(crate) async fn run(mut self) {
        let gauge = self.shared.metrics.instances.clone();
        gauge.with_label_values(&[self.instance.state.as_str()]).inc();
        if self.instance.state == InstanceState::Pairing {
            // The process that showed the code is gone, and the code with it.
            let _ = self.end_pairing(PairingState::Failed, "interrupted").await;
        }
        while !self.owner.is_lost() {
            let step = match self.intent {
                Intent::Rest => self.rest().await,
                Intent::Pair | Intent::Online => self.connect_once().await,
            };
            if step.is_break() {
                break;
            }
        }
        gauge.with_label_values(&[self.instance.state.as_str()]).dec();
    }

    async fn rest(&mut self) -> ControlFlow<()> {
        self.waiting.refuse();
        match self.mailbox.recv().await {
            Some(mail) => self.read_at_rest(mail).await,
            None => ControlFlow::Break(()),
        }
    }

    /// One connection from its turn to its end.
    async fn connect_once(&mut self) -> ControlFlow<()> {
        // What the last owner left says `online`; it is not, and waiting for its turn may take long.
        if self.instance.state == InstanceState::Online
            && let Err(error) = self.set_state(InstanceState::Connecting, Some("restart")).await
        {
            tracing::warn!(instance = %self.instance.id, %error, "the state could not be set");
        }
        let Some(permit) = self.wait_turn().await? else { return ControlFlow::Continue(()) };
        match self.open_link().await {
            Ok(link) => {
                let started = Instant::now();
                let end = Live::new(self, link, permit).run().await;
                self.fenced_at = None;
                if started.elapsed() > STABLE {
                    self.failures.forget();
                }
                self.follow(end).await
            }
            Err(error) if error.kind == ErrorKind::OwnershipLost => ControlFlow::Break(()),
            Err(error) => {
                tracing::error!(instance = %self.instance.id, %error, "a session could not be opened");
                self.failed(Duration::from_secs(1));
                ControlFlow::Continue(())
            }
        }
    }

    /// Waits out the backoff and the admission, answering mail meanwhile. `None`: the intent changed.
    async fn wait_turn(&mut self) -> ControlFlow<(), Option<OwnedSemaphorePermit>> {
        let shared = self.shared.clone();
        let not_before = self.not_before.take();
        let turn = |urgency| {
            let shared = shared.clone();
            async move {
                if let Some(at) = not_before {
                    tokio::time::sleep_until(at.into()).await;
                }
                shared.admission.admit(urgency).await
            }
        };
        let mut urgency = self.urgency();
        let mut admitted = Box::pin(turn(urgency));
        loop {
            tokio::select! {
                permit = &mut admitted => return ControlFlow::Continue(permit),
                mail = self.mailbox.recv() => {
                    let Some(mail) = mail else { return ControlFlow::Break(()) };
                    let before = self.intent;
                    self.read_at_rest(mail).await?;
                    if self.intent != before {
                        return ControlFlow::Continue(None);
                    }
                    // Never back into the line: it would stand at its end.
                    if urgency == Urgency::Ordinary && self.urgency() == Urgency::Awaited {
                        urgency = Urgency::Awaited;
                        admitted.set(turn(urgency));
                    }
                }
            }
        }
    }

    /// Whether somebody waits for the connection: who pairs, or who asked.
    fn urgency(&self) -> Urgency {
        if self.intent == Intent::Pair || !self.waiting.is_empty() { Urgency::Awaited } else { Urgency::Ordinary }
    }

    async fn open_link(&mut self) -> Result<Link> {
        if self.intent == Intent::Online && self.instance.state != InstanceState::Connecting {
            self.set_state(InstanceState::Connecting, None).await?;
        }
        // The login's first fence. It also says that no write of an earlier client of ours is still on its way. A write that
        // was committed just now, with no client since, says the same.
        if self.fenced_at.take().is_none_or(|at| at.elapsed() > FENCE_HOLDS) {
            self.commit(Op::Barrier).await?;
        }
        self.refresh_settings().await?;
        let data_key = self.data_key().await?;
        let device = self.take_loaded_device(&data_key);
        let parts = LinkParts {
            tenant: self.instance.tenant,
            instance: self.instance.id,
            owner: self.owner.clone(),
            data_key,
            device,
            device_name: (self.intent == Intent::Pair).then(|| self.device_name()),
            proxy: self.instance.proxy.clone(),
        };
        warren_runtime::fault::point("login.before");
        Link::start(&self.shared, parts).await
    }

    /// Reads what the edge may have changed. The first connection has what the shard has just loaded.
    async fn refresh_settings(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.settings_aged, true)
            && let Some(stored) = self.shared.ports.ledger.owned_instance(self.instance.id).await?
        {
            self.instance.device_name = stored.device_name;
            self.instance.proxy = stored.proxy;
        }
        Ok(())
    }

    fn device_name(&self) -> String {
        self.instance.device_name.clone().unwrap_or_else(|| self.shared.options.device_name.clone())
    }

    /// What follows the end of a connection.
    async fn follow(&mut self, end: LiveEnd) -> ControlFlow<()> {
        match end {
            LiveEnd::Stop => ControlFlow::Break(()),
            LiveEnd::Command(action, reply) => self.obey(action, reply).await,
            LiveEnd::Ended(ending) => {
                let result = self.apply(&ending).await;
                match result {
                    Ok(flow) => flow,
                    Err(error) if error.kind == ErrorKind::OwnershipLost => ControlFlow::Break(()),
                    Err(error) => {
                        tracing::error!(instance = %self.instance.id, %error, "the end of a connection could not be recorded");
                        self.failed(Duration::from_secs(1));
                        ControlFlow::Continue(())
                    }
                }
            }
        }
    }

    async fn apply(&mut self, ending: &Ending) -> Result<ControlFlow<()>> {
        let connects = &self.shared.metrics.connects;
        connects.with_label_values(&[label(ending)]).inc();
        if matches!(ending, Ending::ProxyFailed) && self.intent == Intent::Pair {
            // Whoever pairs looks at it now, and can mend it.
            self.end_pairing(PairingState::Failed, "proxy_failed").await?;
            return Ok(ControlFlow::Continue(()));
        }
        match policy(ending) {
            Policy::Now => self.not_before = None,
            Policy::Later(at_least) => {
                let pause = self.failures.ended(ending, self.first_pause());
                self.not_before = Some(Instant::now() + at_least + pause);
                if self.intent == Intent::Online {
                    self.set_state(InstanceState::Connecting, Some(reason(ending))).await?;
                }
            }
            Policy::Restricted(reason, span) => {
                self.not_before = Some(Instant::now() + span);
                self.set_state(InstanceState::Restricted, Some(reason)).await?;
                if reason == TEMPORARY_BAN {
                    self.restrict_until(self.now().after(span)).await?;
                }
            }
            // The connection was cut before our answer to the phone's consent left: the device was never linked.
            Policy::Forget("removed") if self.pairing.awaits_login => {
                self.end_pairing(PairingState::Failed, "interrupted").await?;
            }
            Policy::Forget(reason) => self.forget_session(reason).await?,
            Policy::CheckOwner => self.kicked().await?,
            Policy::DropShard => return Ok(ControlFlow::Break(())),
            Policy::NewCodes if Instant::now() < self.pairing.deadline => self.not_before = None,
            Policy::NewCodes => self.end_pairing(PairingState::Failed, "expired").await?,
            Policy::EndPairing(reason) => self.end_pairing(PairingState::Failed, reason).await?,
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Schedules the next attempt.
    fn failed(&mut self, at_least: Duration) {
        let pause = self.failures.failed(self.first_pause());
        self.not_before = Some(Instant::now() + at_least + pause);
    }

    fn first_pause(&self) -> Duration {
        Duration::from_millis(self.shared.options.reconnect_jitter_ms)
    }

    /// Another connection of this device took over.
    async fn kicked(&mut self) -> Result<()> {
        self.shared.metrics.replaced.inc();
        // Is it still ours? If not, this commit says so and the actor ends.
        self.commit(Op::Barrier).await?;
        let now = Instant::now();
        if now.duration_since(self.owned_since) > Duration::from_secs(self.shared.options.handover_s) {
            self.kicks.push_back(now);
        }
        self.kicks.retain(|at| now.duration_since(*at) < KICK_WINDOW);
        if self.kicks.len() >= KICK_LIMIT {
            tracing::error!(instance = %self.instance.id, "quarantined: another client logs in with the same session");
            self.kicks.clear();
            self.intent = Intent::Rest;
            return self.set_state(InstanceState::Quarantined, Some("replaced")).await;
        }
        self.failed(Duration::ZERO);
        self.set_state(InstanceState::Connecting, Some("replaced")).await
    }

    /// The device is not linked any more: its keys are worth nothing, its open messages cannot be sent.
    pub(super) async fn forget_session(&mut self, reason: &'static str) -> Result<()> {
        if self.intent == Intent::Pair {
            return self.end_pairing(PairingState::Failed, reason).await;
        }
        self.intent = Intent::Rest;
        self.forget_records(Some(self.now())).await?;
        self.set_state(InstanceState::LoggedOut, Some(reason)).await
    }

    /// Answers without a connection.
    pub(super) fn refuse(reply: tokio::sync::oneshot::Sender<Reply>, code: &str, detail: &str) {
        let _ = reply.send(Reply::Refused(Refusal::conflict(code, detail)));
    }

    /// Carries out a command that ended a connection, or came while there was none.
    pub(super) async fn obey(&mut self, action: Action, reply: tokio::sync::oneshot::Sender<Reply>) -> ControlFlow<()> {
        match self.carry_out(action).await {
            Ok(flow) => {
                let _ = reply.send(Reply::Accepted);
                flow
            }
            Err(error) if error.kind == ErrorKind::OwnershipLost => ControlFlow::Break(()),
            Err(error) => {
                tracing::error!(instance = %self.instance.id, %error, "a command failed");
                Self::refuse(reply, error.code, &error.detail);
                ControlFlow::Continue(())
            }
        }
    }
}

/// The ending as a state's reason: who ended the connection is nothing to the users of the API.
fn reason(ending: &Ending) -> &'static str {
    match ending {
        Ending::Closed(_) => "connection_lost",
        _ => label(ending),
    }
}

/// The ending as a metric's label.
fn label(ending: &Ending) -> &'static str {
    match ending {
        Ending::Closed(Loss::Network) => "connection_lost",
        Ending::Closed(Loss::NotReached) => "not_reached",
        Ending::Closed(Loss::WriteRefused) => "write_refused",
        Ending::Closed(Loss::GivenUp) => "given_up",
        Ending::Stream(_) => "stream_error",
        Ending::Failure(_) => "login_refused",
        Ending::Replaced => "replaced",
        Ending::LoggedOut(_) => "logged_out",
        Ending::Banned(_) => "banned",
        Ending::Unanswered => "unanswered",
        Ending::Poisoned(_) => "store",
        Ending::Paired => "paired",
        Ending::CodesExhausted => "codes_exhausted",
        Ending::PairingFailed => "pairing_failed",
        Ending::NoTypedCode(_) => "no_typed_code",
        Ending::ProxyFailed => "proxy_failed",
    }
}
