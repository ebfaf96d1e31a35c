//! `warren gateway`: the API of a cluster.

use super::{begin, greet, probe};
use crate::args::Common;
use crate::compose::cluster::Gateway;
use crate::credentials;
use crate::failure::Failure;
use crate::seed;
use crate::serve::{self, Serving};
use warren_ports::ledger::Ownership;

/// Runs until it is told to stop.
pub(crate) async fn run(arguments: Common) -> Result<(), Failure> {
    let beginning = begin(&arguments).await?;
    let (settings, admin) = (beginning.settings, beginning.admin);
    let Some(admin_key) = credentials::configured(settings.admin.key.as_ref())? else {
        return Err(Failure::config(
            "WARREN_ADMIN_KEY (admin.key) is missing: the gateways of a cluster share one, for example `openssl rand -base64 32`",
        ));
    };
    let api = serve::bind("server.listen", settings.server.listen).await?;
    let gateway = Gateway::open(&settings, beginning.metrics).await?;
    let seed = seed::surface(&settings, &gateway.store, None).await?;
    greet("gateway", Some(("API", "http", &api)), &admin)?;

    let serving = Serving::start(&settings, admin, &gateway.shared.metrics, &gateway.shared.health)?;
    let store = gateway.store.clone();
    probe(&serving.lifecycle, "store probe", gateway.shared.health.check("store"), move || {
        let store = store.clone();
        async move { store.highest_epoch().await.is_ok() }
    });
    let ports = gateway.ports(admin_key, seed);
    serving.essential("gateway", warren_gateway::run(api, settings.gateway, ports, serving.lifecycle.clone()));
    let ended = serving.end(async || {}).await;
    gateway.close().await;
    ended
}
