//! `warren coordinator`: one of those who decide which worker owns what.

use super::{begin, greet};
use crate::args;
use crate::compose::cluster::{self, Shared};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::serve::{self, Serving};
use tokio::runtime::Handle;

/// Runs until it is told to stop.
pub(crate) async fn run(arguments: args::Coordinator) -> Result<(), Failure> {
    let beginning = begin(&arguments.common).await?;
    let (settings, admin) = (beginning.settings, beginning.admin);
    let number = match (arguments.number, settings.cluster.coordinators.len()) {
        (Some(number), _) => number,
        (None, 1) => 1,
        (None, _) => {
            return Err(Failure::config("--number is missing: which of cluster.coordinators this is, the first is 1"));
        }
    };
    let seat = cluster::seat(&settings, number)?;
    let folder = DataFolder::take(&settings.store.data_dir)?;
    let listener = serve::bind("coordinator.listen", settings.coordinator.listen).await?;
    let shared = Shared::new(&settings, beginning.metrics);
    let redis = cluster::open_redis(&settings, &shared.metrics, &Handle::current()).await?;
    let scheme = if seat.tls.is_some() { "https" } else { "http" };
    greet("coordinator", Some(("Raft", scheme, &listener)), &admin)?;

    let serving = Serving::start(&settings, admin, &shared.metrics, &shared.health)?;
    let ports = cluster::coordinator(&shared, &redis);
    let service = warren_coordinator::run(settings.coordinator, seat, ports, listener, serving.lifecycle.clone());
    serving.essential("coordinator", service);
    let ended = serving.end(async || {}).await;
    drop(folder);
    ended
}
