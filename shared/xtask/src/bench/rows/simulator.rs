//! The simulator itself, driven by clients that do no Signal: what it carries has to be more than what is measured against it.

use crate::bench::{
    options::Options,
    report::{Report, Row, number},
    stage::{Simulator, swarm},
};
use anyhow::Result;
use std::path::Path;

/// Logged-in clients in at most 2 GB, and texts relayed.
pub(in crate::bench) fn simulator(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let simulator = Simulator::start(bin)?;
    let (pid, clients) = (simulator.pid().to_string(), options.simulator_clients.to_string());
    let (rate, seconds) = (options.simulator_rate.to_string(), options.seconds.to_string());
    let target = ["relay", "--simulator", simulator.url(), "--pid", &pid, "--clients", &clients];
    let figures = swarm(bin, &[&target[..], &["--rate", &rate, "--seconds", &seconds]].concat())?;
    let (memory, relayed) = (number(&figures, "/private_mib_after"), number(&figures, "/relayed_per_s"));
    report.add(Row {
        name: format!("the simulator's private memory, {clients} clients logged in and writing"),
        ours: format!("{memory:.0} MiB"),
        against: format!("{:.0} MiB before they wrote", number(&figures, "/private_mib_idle")),
        target: "<= 2 GB for 10,000",
        met: options.simulator_clients >= 10_000 && memory <= 2_000.0,
    });
    report.add(Row {
        name: "texts the simulator relays".to_owned(),
        ours: format!("{relayed:.0}/s, {:.0} us of CPU each", number(&figures, "/simulator_cpu_us_each")),
        against: format!("the clients take {:.0} us beside it", number(&figures, "/driver_cpu_us_each")),
        target: ">= 10000/s",
        met: relayed >= 10_000.0,
    });
    report.note("simulator", figures);
    Ok(())
}
