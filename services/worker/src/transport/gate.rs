//! The send gate: asked for every write of a connection, directly before it leaves.

use super::barrier::{Barrier, Captured};
use super::dial::Dialer;
use super::loss::{Loss, Losses};
use super::proxy::{ProxyError, Route};
use crate::owner::Owner;
use async_channel::WeakReceiver;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use wacore::net::{Transport, TransportEvent, TransportFactory};
use warren_domain::{InstanceId, TenantId, time::Clock};
use warren_ports::ledger::{Op, Outcome, OwnerLedger, Write};
use warren_runtime::fault;

/// What stands between one client object and the network.
pub(crate) struct SendGate {
    pub(crate) owner: Arc<Owner>,
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) ledger: Arc<dyn OwnerLedger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) barrier: Barrier,
    closed: AtomicBool,
    proxy_failure: OnceLock<ProxyError>,
    losses: Losses,
    transport: tokio::sync::Mutex<Option<Arc<dyn Transport>>>,
}

/// Why a write was not let through.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the gate is closed")]
    Closed,
    #[error("this worker may not act for the instance now")]
    NotOwner,
    #[error("the claim of a message was refused")]
    ClaimRefused,
    #[error(transparent)]
    Barrier(#[from] super::barrier::BarrierError),
}

impl SendGate {
    pub(crate) fn new(
        owner: Arc<Owner>,
        tenant: TenantId,
        instance: InstanceId,
        ledger: Arc<dyn OwnerLedger>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            owner,
            tenant,
            instance,
            ledger,
            clock,
            barrier: Barrier::default(),
            closed: AtomicBool::new(false),
            proxy_failure: OnceLock::new(),
            losses: Losses::default(),
            transport: tokio::sync::Mutex::new(None),
        })
    }

    /// Lets nothing through any more. For good; idempotent.
    pub(crate) fn shut(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Lets nothing through any more and closes the socket. For good; idempotent.
    pub(crate) async fn close(&self) {
        self.shut();
        let transport = self.transport.lock().await.take();
        if let Some(transport) = transport {
            transport.disconnect().await;
        }
    }

    /// Why the instance's proxy led nowhere, if that is why there was no connection.
    pub(crate) fn proxy_failure(&self) -> Option<ProxyError> {
        self.proxy_failure.get().copied()
    }

    /// Who ended the connection, if the server did not say that it would.
    pub(crate) fn loss(&self) -> Loss {
        self.losses.known()
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::Closed);
        }
        if !self.owner.may_act() && !fault::mutation("send_gate_off") {
            return Err(Refusal::NotOwner);
        }
        Ok(())
    }

    /// Commits the claims of captured stanzas, in one commit. All or the write does not leave.
    async fn claim(&self, captured: Vec<Captured>) -> Result<(), Refusal> {
        let (at, fence) = (self.clock.now(), self.owner.fence());
        let writes = captured
            .into_iter()
            .flat_map(|captured| {
                let Captured { message, stanza, replace_stanza, audience } = captured;
                let audience = audience.map(|members| Op::Audience { message, members });
                audience.into_iter().chain([Op::Claim { message, stanza, replace_stanza, at }])
            })
            .map(|op| Write { fence, tenant: self.tenant, instance: self.instance, op })
            .collect();
        let outcomes = self.ledger.commit(writes).await;
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::OwnershipLost | Outcome::LedgerBehind)) {
            self.owner.lose();
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)) || fault::mutation("send_gate_off") {
            return Ok(());
        }
        Err(Refusal::ClaimRefused)
    }

    /// Everything that must hold before a write leaves. Whether a message is in it.
    async fn admit(&self) -> Result<bool, Refusal> {
        self.check()?;
        let captured = self.barrier.take_captured()?;
        if captured.is_empty() {
            return Ok(false);
        }
        fault::point("outbound.before_claim");
        self.claim(captured).await?;
        fault::point("outbound.claimed");
        // The commit may have taken long.
        self.check().map(|()| true)
    }
}

/// The write half that the library sees.
struct GatedTransport {
    gate: Arc<SendGate>,
    inner: Arc<dyn Transport>,
    heard: WeakReceiver<TransportEvent>,
}

#[async_trait]
impl Transport for GatedTransport {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        // An error here poisons the library's socket: it closes and a new connection is made.
        let is_message = self.gate.admit().await.inspect_err(|_| self.gate.losses.is(Loss::WriteRefused))?;
        self.inner.send(data).await.inspect_err(|_| self.gate.losses.is(Loss::Network))?;
        if is_message {
            fault::point("outbound.on_wire");
        }
        Ok(())
    }

    async fn disconnect(&self) {
        self.gate.losses.is_closed_by_the_library(&self.heard);
        self.inner.disconnect().await;
    }

    fn resource_report(&self) -> Option<wacore::stats::TransportResourceReport> {
        self.inner.resource_report()
    }
}

/// Makes gated connections. One socket a client object: a client that lost its socket is rebuilt, never redialled.
pub(crate) struct GatedFactory {
    pub(crate) gate: Arc<SendGate>,
    pub(crate) dialer: Arc<Dialer>,
    /// The instance's proxy; with one there is no connection but through it.
    pub(crate) route: Option<Route>,
}

impl GatedFactory {
    /// Dials without a proxy, and notes whether anybody answers.
    async fn dial(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        self.gate.losses.is_dialled();
        let dialled = self.dialer.dial().await;
        if dialled.is_ok() || self.dialer.is_answered().await {
            self.gate.losses.is_answered();
        }
        dialled
    }
}

#[async_trait]
impl TransportFactory for GatedFactory {
    async fn create_transport(
        &self,
    ) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>), anyhow::Error> {
        let refused = |_: &Refusal| self.gate.losses.is(Loss::WriteRefused);
        self.gate.check().inspect_err(refused)?;
        let dialled = match &self.route {
            None => self.dial().await,
            Some(route) => self.dialer.dial_through(route).await,
        };
        let (inner, events) = dialled.inspect_err(|error| {
            if let Some(failure) = error.downcast_ref::<ProxyError>() {
                // The first says why.
                let _ = self.gate.proxy_failure.set(*failure);
            }
        })?;
        *self.gate.transport.lock().await = Some(inner.clone());
        if let Err(refusal) = self.gate.check().inspect_err(refused) {
            self.gate.close().await;
            return Err(refusal.into());
        }
        let heard = events.downgrade();
        Ok((Arc::new(GatedTransport { gate: self.gate.clone(), inner, heard }), events))
    }
}
