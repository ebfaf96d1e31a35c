//! The simulator, alone (`warren simulator`) or inside standalone.

use crate::args;
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::network::Trust;
use crate::{network, process, serve, settings};
use std::net::SocketAddr;
use std::path::Path;
use warren_runtime::signals::Signals;
use warren_simulator::{Options, Simulator};
use warren_worker::Endpoint;

/// In the data folder.
const FOLDER: &str = "simulator";

/// A simulator that runs in this process.
pub(crate) struct Sandbox {
    simulator: Simulator,
    _folder: DataFolder,
}

impl Sandbox {
    /// Starts one that keeps in the data folder what it keeps.
    pub(crate) async fn start(data_dir: &Path, listen: SocketAddr, keep_state: bool) -> Result<Self, Failure> {
        let folder = DataFolder::take(&data_dir.join(FOLDER))?;
        let listener = serve::bind("simulator.listen", listen).await?;
        let options = Options { data_dir: Some(folder.path().to_owned()), keep_state, ..Options::default() };
        let simulator = Simulator::start(listener, options).await;
        let simulator = simulator.map_err(|error| Failure::config(format!("the simulator does not start: {error:#}")))?;
        Ok(Self { simulator, _folder: folder })
    }

    /// How the worker reaches it.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Failure> {
        let trust = self.simulator.trust();
        let trust = Trust { static_public_key: trust.static_public_key, tls_ca_pem: trust.tls_ca_pem.clone() };
        network::simulator(&self.address().to_string(), trust)
    }

    /// Where people and tests reach it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Ends it; what it holds is on disk then.
    pub(crate) async fn stop(self) {
        self.simulator.shutdown().await;
    }

    /// An address that can be connected to, also when it listens on all of them.
    fn address(&self) -> SocketAddr {
        let mut address = self.simulator.local_addr();
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
            address.set_ip(loopback);
        }
        address
    }
}

/// `warren simulator`.
pub(crate) async fn run(arguments: args::Simulator) -> Result<(), Failure> {
    let loaded = settings::load(&arguments.common)?;
    let settings = loaded.config;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    process::prepare();
    let mut signals = Signals::new().map_err(Failure::system)?;
    let simulator = &settings.simulator;
    let listen = arguments.listen.unwrap_or(simulator.listen);
    let sandbox = Sandbox::start(&settings.store.data_dir, listen, simulator.keep_state).await?;
    serve::say(&format!("Simulator  {}\n", sandbox.url()));
    signals.next().await;
    sandbox.stop().await;
    Ok(())
}
