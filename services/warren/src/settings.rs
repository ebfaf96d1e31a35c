//! Reading the settings, and `warren config`.

use crate::args::{Common, Config};
use crate::failure::Failure;
use std::io::Write;
use warren_domain::ShardCount;
use warren_runtime::config::{self, Loaded, Sources};

/// The services of the binary, and whose options its settings hold.
#[derive(Debug, Clone)]
pub(crate) struct Warren;

impl config::Services for Warren {
    type Gateway = warren_gateway::Options;
    type Worker = warren_worker::Options;
    type Dispatcher = warren_dispatcher::Options;
    type Coordinator = warren_coordinator::Options;
}

/// All settings of the binary.
pub(crate) type Settings = config::Config<Warren>;

/// Reads the settings for a command.
pub(crate) fn load(common: &Common) -> Result<Loaded<Warren>, Failure> {
    let mut sources = Sources::of_process(common.config.clone());
    if let Some(folder) = &common.data_dir {
        let Some(folder) = folder.to_str() else {
            return Err(Failure::config("--data-dir: the folder's name is not Unicode"));
        };
        sources = sources.with("store.data_dir", folder);
    }
    of(&sources)
}

fn of(sources: &Sources) -> Result<Loaded<Warren>, Failure> {
    let mut loaded: Loaded<Warren> = config::load(sources).map_err(Failure::config)?;
    let settings = &mut loaded.config;
    // One truth: what the store is made with. The gateway has to hash alike.
    settings.gateway.shard_count = ShardCount(settings.store.shard_count);
    settings.gateway.validate().map_err(Failure::config)?;
    settings.worker.validate().map_err(Failure::config)?;
    settings.dispatcher.validate().map_err(Failure::config)?;
    settings.coordinator.validate().map_err(Failure::config)?;
    Ok(loaded)
}

/// `warren config`.
pub(crate) fn show(what: Config) -> Result<(), Failure> {
    let text = match what {
        Config::Default => config::DEFAULT.to_owned(),
        Config::Print(common) => load(&common)?.effective,
        Config::Check(common) => {
            let warnings = load(&common)?.warnings;
            warnings.into_iter().chain(["the settings are right".to_owned()]).map(|line| line + "\n").collect()
        }
    };
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documented_defaults_are_those_of_the_services() {
        let settings = of(&Sources::default()).unwrap().config;
        assert_eq!(settings.gateway, warren_gateway::Options::default());
        assert_eq!(settings.worker, warren_worker::Options::default());
        assert_eq!(settings.dispatcher, warren_dispatcher::Options::default());
        assert_eq!(settings.coordinator, warren_coordinator::Options::default());
    }

    #[test]
    fn every_key_of_the_services_is_documented() {
        let documented: toml::Table = toml::from_str(config::DEFAULT).unwrap();
        let keys = |value: &toml::Value| value.as_table().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let mut gateway = keys(&toml::Value::try_from(warren_gateway::Options::default()).unwrap());
        // It is `store.shard_count`.
        gateway.remove("shard_count");
        assert_eq!(keys(&documented["gateway"]), gateway);
        let worker = keys(&toml::Value::try_from(warren_worker::Options::default()).unwrap());
        assert_eq!(keys(&documented["worker"]), worker);
        let dispatcher = keys(&toml::Value::try_from(warren_dispatcher::Options::default()).unwrap());
        assert_eq!(keys(&documented["dispatcher"]), dispatcher);
        let coordinator = keys(&toml::Value::try_from(warren_coordinator::Options::default()).unwrap());
        assert_eq!(keys(&documented["coordinator"]), coordinator);
    }

    #[test]
    fn the_gateway_hashes_like_the_store() {
        let sources = Sources { environment: vec![("WARREN_STORE__SHARD_COUNT".into(), "16".into())], ..Sources::default() };
        assert_eq!(of(&sources).unwrap().config.gateway.shard_count.0.get(), 16);
    }
}
