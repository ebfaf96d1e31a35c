//! `warren standalone`: gateway, worker and dispatcher in one process, over one folder.
//!
//! Up: settings, logs, the folder's lock, listeners, network, store, keys, services. Down: the services together (each
//! finishes what is under way), then the simulator, the bus, the store, and last the admin server and the lock.

use crate::args;
use crate::compose::local::{self, Local};
use crate::credentials;
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::first_start::{Addresses, greeting};
use crate::serve::{Serving, bind, build_info, name, say};
use crate::settings::Settings;
use crate::simulator::Sandbox;
use crate::{network, process, sealing_key, seed, settings};
use std::time::Duration;
use warren_ports::ledger::{Committer, Ownership};
use warren_runtime::{Lifecycle, Metrics};
use warren_worker::Endpoint;

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
    let foreign =
        [("DATABASE_URL", &settings.database.url), ("REDIS_URL", &settings.redis.url), ("NATS_URL", &settings.nats.url)];
    for (variable, _) in foreign.iter().filter(|(_, url)| url.is_some()) {
        tracing::warn!("{variable} is set and not used: standalone keeps everything in store.data_dir");
    }
    process::prepare();

    let folder = DataFolder::take(&settings.store.data_dir)?;
    let api = bind("server.listen", settings.server.listen).await?;
    let admin = bind("admin.listen", settings.admin.listen).await?;
    let (endpoint, sandbox) = reach(&arguments, &settings).await?;
    let metrics = Metrics::new();
    build_info(&metrics);
    let store = local::open(local::store_options_of(&settings, endpoint.network, &metrics)).await?;
    let master_key = sealing_key::settle(&store, folder.path(), settings.store.sealing_key.as_ref()).await?;
    let local = Local::new(&settings, store, metrics).await?;
    let credentials = credentials::settle(&local.store, admin_key, local.clock.as_ref()).await?;
    let seed = seed::surface(&settings, &local.store, credentials::tenant(&local.store).await?).await?;

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

    let serving = Serving::start(&settings, admin, &local.metrics, &local.health)?;
    probe(&local, &serving.lifecycle);
    let worker = warren_worker::run(settings.worker, local.worker(master_key, endpoint), serving.lifecycle.clone());
    serving.essential("worker", worker);
    let dispatcher = warren_dispatcher::run(settings.dispatcher, local.dispatcher(), serving.lifecycle.clone());
    serving.essential("dispatcher", dispatcher);
    let ports = local.gateway(credentials.admin, seed);
    serving.essential("gateway", warren_gateway::run(api, settings.gateway, ports, serving.lifecycle.clone()));
    let ended = serving
        .end(async || {
            if let Some(sandbox) = sandbox {
                sandbox.stop().await;
            }
        })
        .await;
    local.close().await;
    drop(folder);
    ended
}

/// Which network, and the simulator if it runs in this process.
async fn reach(arguments: &args::Standalone, settings: &Settings) -> Result<(Endpoint, Option<Sandbox>), Failure> {
    if arguments.simulator {
        let sandbox =
            Sandbox::start(&settings.store.data_dir, settings.simulator.listen, settings.simulator.keep_state).await?;
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
