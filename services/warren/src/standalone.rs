//! `warren standalone`: gateway and worker in one process, over one folder.
//!
//! Up: settings, logs, the folder's lock, listeners, network, store, keys, services. Down: the services together (each
//! finishes what is under way), then the simulator, the bus, the store, and last the admin server and the lock.

use crate::args;
use crate::compose::{self, Local};
use crate::credentials::{self, Credentials};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::first_start::{Addresses, greeting};
use crate::settings::Settings;
use crate::simulator::Sandbox;
use crate::{network, process, sealing_key, settings};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warren_domain::Network;
use warren_ports::ledger::{Committer, Ownership};
use warren_runtime::signals::{End, Signals};
use warren_runtime::{Admin, Lifecycle, Metrics};
use warren_worker::{Endpoint, sealing::MasterKey};

/// How often the store is asked whether it answers, and how long it may take.
const PROBE: Duration = Duration::from_secs(1);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
pub(crate) async fn run(arguments: args::Standalone) -> Result<(), Failure> {
    let loaded = settings::load(&arguments.common)?;
    let settings = loaded.config;
    let admin_key = credentials::configured(settings.admin.key.as_ref())?;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    for warning in loaded.warnings {
        tracing::warn!("{warning}");
    }
    process::prepare();

    let folder = DataFolder::take(&settings.store.data_dir)?;
    let api = bind("server.listen", settings.server.listen).await?;
    let admin = bind("admin.listen", settings.admin.listen).await?;
    let (endpoint, sandbox) = reach(&arguments, &settings).await?;
    let metrics = Metrics::new();
    build_info(&metrics);
    let store = compose::open(compose::store_options_of(&settings, endpoint.network, &metrics)).await?;
    let master_key = sealing_key::settle(&store, folder.path(), settings.store.sealing_key.as_ref()).await?;
    let local = Local::new(&settings, store, metrics).await?;
    let credentials = credentials::settle(&local.store, admin_key, local.clock.as_ref()).await?;

    let addresses = Addresses {
        api: api.local_addr().map_err(Failure::system)?,
        admin: admin.local_addr().map_err(Failure::system)?,
        simulator: sandbox.as_ref().map(Sandbox::url).or(arguments.simulator_url),
    };
    say(&greeting(&addresses, credentials.fresh.as_ref()));
    if credentials.fresh.is_some() {
        credentials::keep(&local.store, &credentials.admin).await?;
    }
    tracing::info!(api = %addresses.api, admin = %addresses.admin, network = name(endpoint.network), "serving");

    let ended = serve(&settings, &local, Listeners { api, admin }, credentials, master_key, endpoint, async || {
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
    })
    .await;
    local.close().await;
    drop(folder);
    ended
}

struct Listeners {
    api: TcpListener,
    admin: TcpListener,
}

/// Runs the services until the stop has ended, then `afterwards`; the admin server answers until that is done too.
async fn serve(
    settings: &Settings,
    local: &Local,
    listeners: Listeners,
    credentials: Credentials,
    master_key: MasterKey,
    endpoint: Endpoint,
    afterwards: impl AsyncFnOnce(),
) -> Result<(), Failure> {
    let lifecycle = Lifecycle::new();
    let signals = Signals::new().map_err(Failure::system)?;

    let admin_stop = CancellationToken::new();
    let admin = Admin {
        metrics: local.metrics.clone(),
        health: local.health.clone(),
        lifecycle: lifecycle.clone(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let admin_server = tokio::spawn(admin.serve(listeners.admin, admin_stop.clone()));

    probe(local, &lifecycle);
    let worker = warren_worker::run(settings.worker.clone(), local.worker(master_key, endpoint), lifecycle.clone());
    essential(&lifecycle, "worker", worker);
    let ports = local.gateway(credentials.admin);
    let gateway = warren_gateway::run(listeners.api, settings.gateway.clone(), ports, lifecycle.clone());
    essential(&lifecycle, "gateway", gateway);

    let grace = Duration::from_secs(settings.shutdown.grace_seconds.into());
    let end = signals.end(&lifecycle, grace).await;
    afterwards().await;
    admin_stop.cancel();
    if let Ok(Err(error)) = admin_server.await {
        tracing::error!(%error, "the admin server ended early");
    }
    match end {
        End::Clean => tracing::info!("stopped"),
        End::Cut => tracing::warn!("stopped before everything under way had ended"),
        End::Crashed(task) => return Err(Failure::crashed(format!("the {task} ended unexpectedly; see the log"))),
    }
    Ok(())
}

fn essential<E, F>(lifecycle: &Lifecycle, name: &'static str, service: F)
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    lifecycle.spawn_essential(name, async move {
        if let Err(error) = Box::pin(service).await {
            let cause = error.source().map(ToString::to_string);
            tracing::error!(service = name, %error, cause, "a service failed");
        }
    });
}

/// Which network, and the simulator if it runs in this process.
async fn reach(arguments: &args::Standalone, settings: &Settings) -> Result<(Endpoint, Option<Sandbox>), Failure> {
    if arguments.simulator {
        let sandbox = Sandbox::start(&settings.store.data_dir, settings.simulator.listen).await?;
        return Ok((sandbox.endpoint()?, Some(sandbox)));
    }
    match &arguments.simulator_url {
        Some(url) => Ok((network::simulator_at(url).await?, None)),
        None => Ok((Endpoint::whatsapp(), None)),
    }
}

/// Keeps the readiness check `store` true while the store answers reads and takes writes.
fn probe(local: &Local, lifecycle: &Lifecycle) {
    let (check, store) = (local.health.check("store"), local.store.clone());
    lifecycle.spawn_background("store probe", async move {
        loop {
            let reads = tokio::time::timeout(PROBE_LIMIT, store.highest_epoch()).await;
            let writes = Duration::from_millis(store.waiting_ms()) < PROBE_LIMIT;
            check.set(matches!(reads, Ok(Ok(_))) && writes);
            tokio::time::sleep(PROBE).await;
        }
    });
}

fn build_info(metrics: &Metrics) {
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
