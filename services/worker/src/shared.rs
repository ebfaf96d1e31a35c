//! What all instances of a worker share.

use crate::{
    Options, Ports, admission::Admission, client::WebClient, media::MediaDesk, metrics::WorkerMetrics,
    outbound::queue::Fetcher, transport::Dialer,
};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use warren_domain::Result;

const PROXY_CHECKS: usize = 16;

/// One worker.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) ports: Ports,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) web: WebClient,
    pub(crate) admission: Arc<Admission>,
    pub(crate) fetcher: Fetcher,
    pub(crate) media: MediaDesk,
    /// Looks at proxies that may run at once.
    pub(crate) proxy_checks: Arc<Semaphore>,
    /// Whether writes wait for the store, for more than a second: then every instance is degraded.
    pub(crate) store_slow: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(options: Options, ports: Ports) -> Result<Arc<Self>> {
        let metrics = WorkerMetrics::new(&ports.metrics);
        let dialer = Arc::new(Dialer::new(&ports.endpoint.url, ports.endpoint.authority.as_deref())?);
        let web = WebClient::new(&ports.endpoint)?;
        let admission = Admission::new(options.connects_per_second, options.connects_at_once, &metrics.logins_waiting);
        let fetcher = Fetcher::new(ports.ledger.clone(), options.window);
        Ok(Arc::new(Self {
            options,
            ports,
            metrics,
            dialer,
            web,
            admission: Arc::new(admission),
            fetcher,
            media: MediaDesk::new(),
            proxy_checks: Arc::new(Semaphore::new(PROXY_CHECKS)),
            store_slow: watch::Sender::new(false),
        }))
    }
}
