//! What every serving process is made of: the admin server, signals, services, and an end in which each finishes what is under
//! way.

use crate::failure::Failure;
use crate::settings::Settings;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warren_domain::Network;
use warren_runtime::signals::{End, Signals};
use warren_runtime::{Admin, Health, Lifecycle, Metrics};

/// A process that serves. Its admin server answers from [`Serving::start`] to the end of [`Serving::end`].
pub(crate) struct Serving {
    pub(crate) lifecycle: Lifecycle,
    signals: Signals,
    grace: Duration,
    admin: JoinHandle<std::io::Result<()>>,
    admin_stop: CancellationToken,
}

impl Serving {
    /// Takes over the signals, and serves metrics and health on `admin`.
    pub(crate) fn start(
        settings: &Settings,
        admin: TcpListener,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self, Failure> {
        let lifecycle = Lifecycle::new();
        let signals = Signals::new().map_err(Failure::system)?;
        let admin_stop = CancellationToken::new();
        let server = Admin {
            metrics: metrics.clone(),
            health: health.clone(),
            lifecycle: lifecycle.clone(),
            version: env!("CARGO_PKG_VERSION"),
        };
        Ok(Self {
            lifecycle,
            signals,
            grace: Duration::from_secs(settings.shutdown.grace_seconds.into()),
            admin: tokio::spawn(server.serve(admin, admin_stop.clone())),
            admin_stop,
        })
    }

    /// Starts a service without which the process makes no sense.
    pub(crate) fn essential<E, F>(&self, name: &'static str, service: F)
    where
        E: std::error::Error,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.lifecycle.spawn_essential(name, async move {
            if let Err(error) = Box::pin(service).await {
                let cause = error.source().map(ToString::to_string);
                tracing::error!(service = name, %error, cause, "a service failed");
            }
        });
    }

    /// Waits for the stop and until every service has ended, then for `afterwards`.
    pub(crate) async fn end(self, afterwards: impl AsyncFnOnce()) -> Result<(), Failure> {
        let end = self.signals.end(&self.lifecycle, self.grace).await;
        afterwards().await;
        self.admin_stop.cancel();
        if let Ok(Err(error)) = self.admin.await {
            tracing::error!(%error, "the admin server ended early");
        }
        match end {
            End::Clean => tracing::info!("stopped"),
            End::Cut => tracing::warn!("stopped before everything under way had ended"),
            End::Crashed(task) => return Err(Failure::crashed(format!("the {task} ended unexpectedly; see the log"))),
        }
        Ok(())
    }
}

/// Registers which build this is.
pub(crate) fn build_info(metrics: &Metrics) {
    let info = metrics.gauges("warren_build_info", "Always 1; its label is the version.", &["version"]);
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
}

/// Binds a listener, or says in one line why not.
pub(crate) async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::unavailable(format!("{setting}: {address} is in use by another process; stop it, or set another port"))
        }
        _ => Failure::config(format!("{setting}: cannot listen on {address}: {error}")),
    })
}

/// Says something to standard output. Whoever closed it does not want to hear it.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A network's name, without its key.
pub(crate) fn name(network: Network) -> &'static str {
    match network {
        Network::Whatsapp => "whatsapp",
        Network::Simulator { .. } => "simulator",
    }
}
