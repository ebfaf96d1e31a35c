//! `warren doctor`: looks at everything standalone needs and says what is wrong. It changes nothing, apart from a file that
//! it writes to measure the disk and removes again.

mod cluster;

use crate::args::Common;
use crate::compose::local;
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{credentials, process, sealing_key, serve, settings};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Below this a store that grows is in danger.
const LITTLE_SPACE: u64 = 1 << 30;
/// Every acknowledged write waits for one of these.
const SLOW_SYNC: Duration = Duration::from_millis(50);
const SYNCS: u32 = 20;
/// Enough for a thousand instances.
const FEW_DESCRIPTORS: u64 = 4_096;

/// What one look found: a sentence, and whether it is well.
type Finding = Result<String, String>;

/// Looks at everything.
pub(crate) async fn run(arguments: Common) -> Result<(), Failure> {
    let mut report = Report::default();
    let settings = match settings::load(&arguments) {
        Ok(loaded) => {
            report.add("settings", Ok("are right".to_owned()));
            loaded.warnings.into_iter().for_each(|warning| report.add("settings", Err(warning)));
            loaded.config
        }
        Err(failure) => {
            report.add("settings", Err(failure.to_string()));
            return report.end();
        }
    };
    let folder = settings.store.data_dir.clone();
    let configured = credentials::configured(settings.admin.key.as_ref());
    match &configured {
        Ok(Some(_)) => report.add("admin key", Ok("is set and strong".to_owned())),
        Ok(None) => {}
        Err(failure) => report.add("admin key", Err(failure.to_string())),
    }
    report.add("open files", descriptors());
    if is_of_a_cluster(&settings) {
        cluster::examine(&settings, &mut report).await;
        return report.end();
    }
    if !folder.is_dir() {
        report.add("data folder", Ok(format!("{} is made at the first start", folder.display())));
        ports(&settings, &mut report);
        return report.end();
    }
    report.add("data folder", private(&folder));
    report.add("disk space", space(&folder));
    report.add("disk sync", sync(&folder));
    match DataFolder::take(&folder) {
        Ok(_lock) => {
            report.add("lock", Ok("is free".to_owned()));
            ports(&settings, &mut report);
            examine_store(&settings, matches!(configured, Ok(None)), &mut report).await;
        }
        // A Warren that runs holds the ports and the store as well.
        Err(refused) => report.add("lock", Ok(format!("{refused} (so neither store nor ports were looked at)"))),
    }
    report.end()
}

/// Whether these are the settings of a process of a cluster: they name something that only a cluster has.
fn is_of_a_cluster(settings: &Settings) -> bool {
    let urls = [&settings.database.url, &settings.redis.url, &settings.nats.url];
    urls.iter().any(|url| url.is_some()) || !settings.cluster.coordinators.is_empty()
}

async fn examine_store(settings: &Settings, needs_admin_key: bool, report: &mut Report) {
    let folder = &settings.store.data_dir;
    if !local::has_store(folder) {
        report.add("store", Ok("is made at the first start".to_owned()));
        return;
    }
    let (store, network) = match local::open_existing(settings, false).await {
        Ok(opened) => opened,
        Err(failure) => return report.add("store", Err(failure.to_string())),
    };
    report.add("store", Ok(format!("is up to date and belongs to {}", serve::name(network))));
    let key = sealing_key::examine(&store, folder, settings.store.sealing_key.as_ref()).await;
    report.add("sealing key", key.map_err(|failure| failure.to_string()));
    if needs_admin_key {
        report.add(
            "admin key",
            match credentials::kept(&store).await {
                Ok(Some(_)) => Ok("was made at the first start".to_owned()),
                Ok(None) => Ok("is not set; it is made at the start if the store is empty".to_owned()),
                Err(failure) => Err(failure.to_string()),
            },
        );
    }
    store.close().await;
}

fn ports(settings: &Settings, report: &mut Report) {
    report.add("api port", free(settings.server.listen));
    report.add("admin port", free(settings.admin.listen));
}

fn free(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(format!("{address} cannot be listened on: {error}")),
    }
}

fn private(folder: &Path) -> Finding {
    let mode = std::fs::metadata(folder).map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(format!("{} is private", folder.display()));
    }
    Err(format!("{} can be read by others (mode {mode:o}); it holds keys: chmod 700", folder.display()))
}

fn space(folder: &Path) -> Finding {
    let disk = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("{} MiB are free", free >> 20);
    if free >= LITTLE_SPACE { Ok(text) } else { Err(format!("{text}; a store that cannot grow stops every instance")) }
}

/// The median of some small synchronised writes.
fn sync(folder: &Path) -> Finding {
    let path = folder.join(".doctor");
    let measured = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let mut times = Vec::new();
        for _ in 0..SYNCS {
            let started = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        times.sort();
        Ok::<_, std::io::Error>(times.get(times.len() / 2).copied().unwrap_or_default())
    })();
    let _ = std::fs::remove_file(&path);
    let median = measured.map_err(|error| format!("{} cannot be written: {error}", folder.display()))?;
    let text = format!("takes {:.1} ms (median of {SYNCS})", median.as_secs_f64() * 1000.0);
    if median < SLOW_SYNC { Ok(text) } else { Err(format!("{text}; everything that is acknowledged waits for one")) }
}

fn descriptors() -> Finding {
    match process::descriptors() {
        Some(limit) if limit < FEW_DESCRIPTORS => Err(format!("at most {limit}; an instance needs one: raise `ulimit -Hn`")),
        Some(limit) => Ok(format!("at most {limit}")),
        None => Ok("without a limit".to_owned()),
    }
}

/// Findings as they come, and how many are bad.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn add(&mut self, subject: &str, finding: Finding) {
        let (mark, text) = match finding {
            Ok(text) => ("ok   ", text),
            Err(text) => {
                self.wrong += 1;
                ("WRONG", text)
            }
        };
        serve::say(&format!("{mark} {subject}: {text}\n"));
    }

    fn end(self) -> Result<(), Failure> {
        match self.wrong {
            0 => Ok(()),
            1 => Err(Failure::found("1 thing is wrong")),
            wrong => Err(Failure::found(format!("{wrong} things are wrong"))),
        }
    }
}
