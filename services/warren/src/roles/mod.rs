//! The processes of a cluster, a module each: up in the order settings, logs, listeners, adapters, services; down in reverse,
//! each finishing what is under way.

pub(crate) mod coordinator;
pub(crate) mod dispatcher;
pub(crate) mod gateway;
pub(crate) mod worker;

use crate::args::Common;
use crate::failure::Failure;
use crate::process;
use crate::serve::{self, build_info};
use crate::settings::{self, Settings};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use warren_runtime::{Lifecycle, Metrics, health::Check};

use crate::compose::cluster::{PROBE, PROBE_LIMIT};

/// A process before its adapters are there.
struct Beginning {
    settings: Settings,
    admin: TcpListener,
    metrics: Metrics,
}

/// Reads the settings, starts the log, and binds the admin port.
async fn begin(common: &Common) -> Result<Beginning, Failure> {
    let loaded = settings::load(common)?;
    let settings = loaded.config;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    for warning in loaded.warnings {
        tracing::warn!("{warning}");
    }
    process::prepare();
    let admin = serve::bind("admin.listen", settings.admin.listen).await?;
    let metrics = Metrics::new();
    build_info(&metrics);
    Ok(Beginning { settings, admin, metrics })
}

/// Says where the process is, and by which scheme it is spoken to.
fn greet(role: &'static str, listener: Option<(&str, &str, &TcpListener)>, admin: &TcpListener) -> Result<(), Failure> {
    let address = |listener: &TcpListener| listener.local_addr().map_err(Failure::system);
    let mut text = String::new();
    if let Some((name, scheme, listener)) = listener {
        text.push_str(&format!("{name:<10} {scheme}://{}\n", address(listener)?));
    }
    let metrics: SocketAddr = address(admin)?;
    text.push_str(&format!("Metrics    http://{metrics}/metrics\n"));
    serve::say(&text);
    tracing::info!(role, admin = %metrics, "serving");
    Ok(())
}

/// Keeps a readiness check true while a look at something succeeds in time.
fn probe<F>(lifecycle: &Lifecycle, name: &'static str, check: Check, mut look: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = bool> + Send + 'static,
{
    lifecycle.spawn_background(name, async move {
        loop {
            check.set(tokio::time::timeout(PROBE_LIMIT, look()).await.unwrap_or(false));
            tokio::time::sleep(PROBE).await;
        }
    });
}
