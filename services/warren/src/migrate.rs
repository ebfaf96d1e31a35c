//! `warren migrate`: brings a store up to date without serving it.

use crate::args::Common;
use crate::compose::cluster::Client;
use crate::compose::{cluster, local};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::{serve, settings};

/// Applies what is pending.
pub(crate) async fn run(arguments: Common) -> Result<(), Failure> {
    let settings = settings::load(&arguments)?.config;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    if settings.database.url.is_some() {
        let store = cluster::open_store(&settings, Client::Command("warren migrate"), None, None, true).await?;
        store.close().await;
        serve::say("the database is up to date\n");
        return Ok(());
    }
    if !local::has_store(&settings.store.data_dir) {
        serve::say("there is no store yet; `warren standalone` makes one that is up to date\n");
        return Ok(());
    }
    let _folder = DataFolder::take(&settings.store.data_dir)?;
    let (store, network) = local::open_existing(&settings, true).await?;
    store.close().await;
    serve::say(&format!("the store is up to date; it belongs to {}\n", serve::name(network)));
    Ok(())
}
