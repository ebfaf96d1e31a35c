//! Rows 1, 3 and 9 of standalone, and how it starts.

use super::bare;
use crate::bench::{
    Options, machine,
    report::{Report, Row, number},
    stage::{Line, Simulator, Standalone},
};
use anyhow::Result;
use serde_json::json;
use std::{path::Path, time::Duration};

/// Rows 1 and 3: memory and CPU of idle instances, over TLS on both sides.
pub(in crate::bench) fn idle(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let (count, idle) = (options.idle_instances as f64, options.idle.to_string());
    let bare = bare(bin, options.idle_instances, &["--pre-keys", "50", "--idle", &idle, "--tls"])?;
    let simulator = Simulator::start(bin)?;
    let warren = Standalone::start(bin, &simulator, Line::Tls)?;
    let base = machine::private_kib(warren.pid())?;
    warren.fleet(options.idle_instances)?;
    // What pairing left to do is not part of being idle; the client library saves its device after half a minute.
    std::thread::sleep(Duration::from_secs(45));
    let cpu = machine::cpu_seconds(warren.pid())?;
    std::thread::sleep(Duration::from_secs(options.idle));
    let cpu = (machine::cpu_seconds(warren.pid())? - cpu) / options.idle as f64 / count * 1e6;
    let memory = machine::private_kib(warren.pid())?.saturating_sub(base) as f64 / count;
    let bare_memory = number(&bare, "/idle/private_kib_each");
    let bare_cpu = number(&bare, "/idle/cpu_us_each_s");
    report.note("idle", json!({"bare": bare, "warren": {"private_kib_each": memory, "cpu_us_each_s": cpu}}));
    report.add(Row {
        name: "1 private memory of an idle instance".to_owned(),
        ours: format!("{memory:.0} KiB"),
        against: format!("{bare_memory:.0} KiB bare ({:.2}x)", memory / bare_memory),
        target: "<= 1.3x and <= 190 KiB",
        met: memory <= 1.3 * bare_memory && memory <= 190.0,
    });
    report.add(Row {
        name: "3 CPU of an idle instance".to_owned(),
        ours: format!("{cpu:.1} us/s"),
        against: format!("{bare_cpu:.1} us/s bare ({:.2}x)", cpu / bare_cpu),
        target: "<= 1.5x",
        met: cpu <= 1.5 * bare_cpu,
    });
    Ok(())
}

/// Row 9: an open WebSocket, and an event through many. In a process that did nothing before: what others gave back would be
/// taken for it.
pub(in crate::bench) fn sockets(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let simulator = Simulator::start(bin)?;
    let warren = Standalone::start(bin, &simulator, Line::Plain)?;
    warren.fleet(1)?;
    let figures = warren.sockets(options.sockets)?;
    let memory = number(&figures, "/private_kib_each");
    let (event, raw) = (number(&figures, "/cpu_us_per_event"), number(&figures, "/raw_write_us"));
    report.add(Row {
        name: "9 private memory of an idle WebSocket".to_owned(),
        ours: format!("{memory:.1} KiB"),
        against: String::new(),
        target: "<= 8 KiB",
        met: memory <= 8.0,
    });
    report.add(Row {
        name: "9 CPU of an event to a WebSocket".to_owned(),
        ours: format!("{event:.1} us"),
        against: format!("{raw:.1} us a raw write ({:.2}x)", event / raw),
        target: "<= 2x",
        met: event <= 2.0 * raw,
    });
    report.note("sockets", figures);
    Ok(())
}

/// The start with an empty store, and with a store full of instances.
pub(in crate::bench) fn restart(
    options: &Options,
    bin: &Path,
    simulator: &Simulator,
    warren: &mut Standalone,
    report: &mut Report,
) -> Result<()> {
    let first_start = Standalone::first_answer(bin, simulator)?;
    let (answered, online) = warren.restart(options.instances)?;
    report.note("restart", json!({"empty_store_answers_s": first_start, "answers_s": answered, "all_online_s": online}));
    report.add(Row {
        name: "start to first answer, empty store".to_owned(),
        ours: format!("{first_start:.2} s"),
        against: String::new(),
        target: "< 1 s",
        met: first_start < 1.0,
    });
    report.add(Row {
        name: "kill -9 and start: all online".to_owned(),
        ours: format!("{online:.1} s for {}", options.instances),
        against: format!("first answer after {answered:.2} s"),
        target: "<= 10 s for 1,000",
        met: online <= 10.0,
    });
    Ok(())
}
