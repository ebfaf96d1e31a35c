//! `warren dispatcher`: delivers webhooks.

use super::{begin, greet, probe};
use crate::args::Common;
use crate::compose::cluster::Dispatcher;
use crate::failure::Failure;
use crate::serve::Serving;
use warren_ports::ledger::Events;

/// Runs until it is told to stop.
pub(crate) async fn run(arguments: Common) -> Result<(), Failure> {
    let beginning = begin(&arguments).await?;
    let (settings, admin) = (beginning.settings, beginning.admin);
    let dispatcher = Dispatcher::open(&settings, beginning.metrics).await?;
    greet("dispatcher", None, &admin)?;

    let serving = Serving::start(&settings, admin, &dispatcher.shared.metrics, &dispatcher.shared.health)?;
    let store = dispatcher.store.clone();
    probe(&serving.lifecycle, "store probe", dispatcher.shared.health.check("store"), move || {
        let store = store.clone();
        async move { store.log_bounds().await.is_ok() }
    });
    let service = warren_dispatcher::run(settings.dispatcher, dispatcher.ports(), serving.lifecycle.clone());
    serving.essential("dispatcher", service);
    let ended = serving.end(async || {}).await;
    dispatcher.close().await;
    ended
}
