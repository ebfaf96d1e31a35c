//! `config`, `migrate`, `doctor`.

use crate::process::{Running, ended, text, warren};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn said(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = ended(warren(folder, arguments));
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_settings_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (code, defaults) = said(folder.path(), &["config", "default"]);
    assert_eq!(code, 0);
    std::fs::write(folder.path().join("warren.toml"), &defaults).unwrap();
    assert_eq!(said(folder.path(), &["config", "check"]), (0, "the settings are right\n".to_owned()));
    std::fs::write(folder.path().join("warren.toml"), "[worker]\nwindow = 7\n[admin]\nkey = \"canary\"\n").unwrap();
    let (code, effective) = said(folder.path(), &["config", "print"]);
    assert_eq!(code, 0);
    assert!(effective.contains("window = 7") && !effective.contains("canary"), "{effective}");
    std::fs::write(folder.path().join("other.toml"), "[worker]\nwindows = 7\n").unwrap();
    let (code, line) = said(folder.path(), &["config", "check", "--config", "other.toml"]);
    assert_eq!(code, 78);
    assert!(line.contains("windows"), "{line}");
}

#[test]
fn migrate_brings_an_existing_store_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let (code, line) = said(folder.path(), &["migrate"]);
    assert_eq!(code, 0, "{line}");
    assert!(!folder.path().join("data").exists(), "there was nothing to bring up to date");
    Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path()).stop();
    let (code, line) = said(folder.path(), &["migrate"]);
    assert_eq!(code, 0, "{line}");
    assert!(line.contains("simulator"), "{line}");
}

#[test]
fn doctor_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (_, report) = said(folder.path(), &["doctor"]);
    assert!(report.contains("is made at the first start"), "{report}");
    let running = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let (_, report) = said(folder.path(), &["doctor"]);
    assert!(report.contains("in use by another process"), "{report}");
    running.stop();
    let (_, report) = said(folder.path(), &["doctor"]);
    for part in ["store: is up to date and belongs to simulator", "sealing key: opens this store", "disk sync: takes"] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let data = folder.path().join("data");
    assert!(!data.join(".doctor").exists());
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(data.join("sealing.key"), "02".repeat(32)).unwrap();
    let (code, report) = said(folder.path(), &["doctor"]);
    assert_eq!(code, 1, "{report}");
    assert!(report.contains("WRONG data folder") && report.contains("WRONG sealing key"), "{report}");
}

#[test]
fn every_command_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (_, help) = said(folder.path(), &["--help"]);
    let one_process = ["standalone", "simulator", "migrate", "export", "import", "doctor", "health", "config"];
    let of_a_cluster = ["gateway", "worker", "dispatcher", "coordinator", "cluster"];
    for command in one_process.iter().chain(&of_a_cluster) {
        assert!(help.contains(command), "{help}");
    }
}
