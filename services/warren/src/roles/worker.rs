//! `warren worker`: owns shards, and connects their instances to WhatsApp.

use super::{begin, greet, probe};
use crate::args;
use crate::compose::cluster::Worker;
use crate::failure::Failure;
use crate::serve::Serving;
use crate::{network, sealing_key};
use std::time::Duration;
use warren_ports::ledger::{Committer, Ownership};
use warren_raft::Attachment;
use warren_worker::Endpoint;

/// A store that takes no writes for so long is not ready.
const SLOWEST_COMMIT: Duration = Duration::from_secs(2);

/// Runs until it is told to stop; then its shards are handed over first.
pub(crate) async fn run(arguments: args::Worker) -> Result<(), Failure> {
    let beginning = begin(&arguments.common).await?;
    let (mut settings, admin) = (beginning.settings, beginning.admin);
    settings.worker.name = name(arguments.name, settings.worker.name);
    let endpoint = match &arguments.simulator_url {
        Some(url) => network::simulator_at(url).await?,
        None => Endpoint::whatsapp(),
    };
    let worker = Worker::open(&settings, endpoint.network, beginning.metrics).await?;
    let master_key = sealing_key::settle_shared(&worker.store, settings.store.sealing_key.as_ref()).await?;
    greet("worker", None, &admin)?;

    let serving = Serving::start(&settings, admin, &worker.shared.metrics, &worker.shared.health)?;
    probe_all(&worker, &serving);
    let ports = worker.ports(master_key, endpoint);
    serving.essential("worker", warren_worker::run(settings.worker, ports, serving.lifecycle.clone()));
    let ended = serving.end(async || {}).await;
    worker.close().await;
    ended
}

/// The name on the command line, else of the settings, else of the machine.
fn name(argument: Option<String>, setting: String) -> String {
    let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    argument.or_else(|| Some(setting).filter(|name| !name.is_empty())).unwrap_or_else(machine)
}

fn probe_all(worker: &Worker, serving: &Serving) {
    let store = worker.store.clone();
    probe(&serving.lifecycle, "store probe", worker.shared.health.check("store"), move || {
        let store = store.clone();
        async move { store.highest_epoch().await.is_ok() && Duration::from_millis(store.waiting_ms()) < SLOWEST_COMMIT }
    });
    let attachment = worker.placement().attachment();
    probe(&serving.lifecycle, "placement probe", worker.shared.health.check("coordinators"), move || {
        let attached = matches!(*attachment.borrow(), Attachment::Attached(_));
        async move { attached }
    });
}
