//! What every handler works with.

use crate::{
    AdminKey, Options,
    auth::{Authentication, Rates},
    problem::{Problem, Result},
    quota::Quota,
    seed,
    stream::Tails,
    telemetry::Telemetry,
    v1::{media::LinkKey, pairing::Polling},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use warren_domain::{ErrorKind, Instance, InstanceId, Shard, TenantId, Timestamp, media::MediaLimits, time::Clock};
use warren_egress::Guard;
use warren_ports::{
    bus::{Action, Answer, Ask, Bus, Command, Refusal, RefusalKind, Reply, RequestError},
    ledger::EdgeLedger,
    limiter::Limiter,
    objects::Objects,
};
use warren_runtime::{Health, Lifecycle, Metrics};

/// The outside, as the gateway needs it.
pub struct Ports {
    /// Where everything acknowledged is.
    pub ledger: Arc<dyn EdgeLedger>,
    /// The way to the owners of instances, and the bell of the log.
    pub bus: Arc<dyn Bus>,
    /// What counts the requests of tenants, over all gateways.
    pub limiter: Arc<dyn Limiter>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where figures are registered; the gateway registers its own, so one gateway a registry.
    pub metrics: Metrics,
    /// The operator's key; without one the admin routes answer nobody.
    pub admin_key: Option<AdminKey>,
    /// What `/readyz` reports; the gateway adds its own check, `gateway`.
    pub health: Health,
    /// Where the bytes of files are.
    pub objects: Arc<dyn Objects>,
    /// How large files may be, and how long they are kept.
    pub limits: MediaLimits,
    /// Judges the addresses that callers name.
    pub egress: Guard,
    /// What signs links to files: the same in every gateway.
    pub link_key: LinkKey,
    /// What switches the surface for programs of the seed on.
    pub seed: Option<seed::Settings>,
}

/// A running gateway. Nothing here would be missed by a second one: caches, limits and open sockets only.
pub(crate) struct Gateway {
    pub(crate) options: Options,
    pub(crate) ledger: Arc<dyn EdgeLedger>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) telemetry: Telemetry,
    pub(crate) authentication: Authentication,
    pub(crate) rates: Rates,
    pub(crate) tails: Tails,
    pub(crate) sockets: Quota,
    pub(crate) polling: Polling,
    pub(crate) in_flight: Semaphore,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) limits: MediaLimits,
    pub(crate) egress: Guard,
    pub(crate) link_key: LinkKey,
    pub(crate) uploads: Quota,
    pub(crate) downloads: Quota,
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) seed: Option<seed::Settings>,
}

/// The state of the router.
pub(crate) type App = Arc<Gateway>;

impl Gateway {
    pub(crate) fn new(options: Options, ports: Ports, lifecycle: Lifecycle) -> App {
        let telemetry = Telemetry::new(&ports.metrics);
        let authentication = Authentication::new(
            Arc::clone(&ports.ledger),
            ports.admin_key,
            options.wrong_keys_per_minute,
            telemetry.refused.clone(),
            &lifecycle,
        );
        let rates = Rates::new(Arc::clone(&ports.limiter), Arc::clone(&ports.ledger), options.requests_per_second);
        Arc::new(Self {
            rates,
            sockets: Quota::new(options.websockets, options.websockets_per_tenant, telemetry.sockets.clone()),
            in_flight: Semaphore::new(options.requests.min(Semaphore::MAX_PERMITS)),
            uploads: Quota::new(options.uploads, options.uploads_per_tenant, telemetry.uploads.clone()),
            downloads: Quota::new(options.downloads, options.downloads_per_tenant, telemetry.downloads.clone()),
            objects: ports.objects,
            limits: ports.limits,
            egress: ports.egress,
            link_key: ports.link_key,
            limiter: ports.limiter,
            seed: ports.seed,
            tails: Tails::default(),
            polling: Polling::default(),
            ledger: ports.ledger,
            bus: ports.bus,
            clock: ports.clock,
            health: ports.health,
            options,
            lifecycle,
            telemetry,
            authentication,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn shard(&self, instance: InstanceId) -> Shard {
        Shard::of(instance, self.options.shard_count)
    }

    /// The tenant's instance, or 404.
    pub(crate) async fn instance(&self, tenant: TenantId, id: InstanceId) -> Result<Instance> {
        self.ledger.instance(tenant, id).await?.ok_or_else(Problem::not_found)
    }

    /// Has the owner of an instance ask WhatsApp.
    pub(crate) async fn ask_whatsapp(&self, tenant: TenantId, instance: InstanceId, ask: Ask) -> Result<Answer> {
        match self.ask(tenant, instance, Action::Ask(ask)).await? {
            Reply::Answer(answer) => Ok(answer),
            _ => Err(Problem::internal("an ask was answered by something else")),
        }
    }

    /// Asks the owner of an instance. What it refuses has the owner's own code; nobody there is 503.
    pub(crate) async fn ask(&self, tenant: TenantId, instance: InstanceId, action: Action) -> Result<Reply> {
        self.ask_within(tenant, instance, action, self.options.owner_timeout()).await
    }

    /// [`Gateway::ask`] with a deadline of its own.
    pub(crate) async fn ask_within(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        action: Action,
        deadline: Duration,
    ) -> Result<Reply> {
        let command = Command { tenant, instance, action };
        match self.bus.request(self.shard(instance), command, deadline).await {
            Ok(Reply::Refused(refusal)) => Err(of_refusal(refusal)),
            Ok(Reply::NotFound) => Err(Problem::not_found()),
            Ok(reply) => Ok(reply),
            Err(RequestError::NoResponder | RequestError::Unavailable) => Err(Problem::new(
                ErrorKind::Unavailable,
                "unavailable",
                "No worker answers for this instance at the moment; try again.",
            )
            .retry_after(2)),
            Err(RequestError::Timeout) => Err(Problem::new(
                ErrorKind::Timeout,
                "timeout",
                "The instance's worker took the request and did not answer in time; look at the instance before trying again.",
            )),
        }
    }
}

/// What an owner, or WhatsApp, refused.
fn of_refusal(refusal: Refusal) -> Problem {
    let kind = match refusal.kind {
        RefusalKind::Invalid => ErrorKind::Invalid,
        RefusalKind::Forbidden => ErrorKind::Forbidden,
        RefusalKind::NotFound => ErrorKind::NotFound,
        RefusalKind::Conflict => ErrorKind::Conflict,
        RefusalKind::Exhausted => ErrorKind::Exhausted,
        RefusalKind::Unknown => ErrorKind::Timeout,
    };
    Problem::new(kind, refusal.code, refusal.detail)
}
