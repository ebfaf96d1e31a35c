//! What standalone refuses to start with: each is one line and an exit code, and changes nothing.

use crate::process::{Running, refused, warren};
use std::net::TcpListener;
use std::path::Path;

fn with(folder: &Path, name: &str, value: &str) -> (i32, String) {
    let mut command = warren(folder, &["standalone"]);
    command.env(name, value);
    refused(command)
}

#[test]
fn wrong_settings_end_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let weak = ["admin", "admin:admin", "changeme", "00000000000000000000000000000000"];
    for key in weak {
        let (code, line) = with(folder.path(), "WARREN_ADMIN_KEY", key);
        assert_eq!(code, 78, "{line}");
        assert!(line.starts_with("warren: WARREN_ADMIN_KEY: "), "{line}");
    }
    let (_, line) = with(folder.path(), "WARREN_ADMIN_KEY", "canary-0x5eC");
    assert!(!line.contains("canary"), "{line}");
    for (name, value, part) in [
        ("WARREN_LISTEN", "0.0.0.0:0", "server.allow_plaintext"),
        ("WARREN_ADMIN_LISTEN", "0.0.0.0:0", "admin.allow_plaintext"),
        ("WARREN_LISTEN", "nonsense", "server.listen"),
        ("WARREN_GATEWAY__NOTHING", "1", "nothing"),
        ("WARREN_GATEWAY__PING_MS", "0", "gateway.ping_ms"),
        ("WARREN_WORKER__PRE_KEYS", "1", "worker.pre_keys"),
        ("WARREN_DATA_DIR", "/proc/nothing", "data folder"),
    ] {
        let (code, line) = with(folder.path(), name, value);
        assert_eq!(code, 78, "{line}");
        assert!(line.contains(part), "{line}");
    }
    assert!(!folder.path().join("data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_wrong_sealing_key_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let (code, line) = with(folder.path(), "WARREN_SEALING_KEY", "tooshort");
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("32 bytes") && !line.contains("tooshort"), "{line}");
    let mut command = warren(folder.path(), &["standalone"]);
    command.env("WARREN_SEALING_KEY", "01".repeat(32));
    Running::ready(command, folder.path()).stop();
    let (code, line) = with(folder.path(), "WARREN_SEALING_KEY", &"02".repeat(32));
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("not the one"), "{line}");
    let (code, line) = refused(warren(folder.path(), &["standalone"]));
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("missing"), "{line}");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, setting) in [("WARREN_LISTEN", "server.listen"), ("WARREN_ADMIN_LISTEN", "admin.listen")] {
        let (code, line) = with(folder.path(), name, &address);
        assert_eq!(code, 69, "{line}");
        assert!(line.contains(setting) && line.contains(&address), "{line}");
    }
}

#[test]
fn one_process_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let (code, line) = refused(warren(folder.path(), &["standalone", "--simulator"]));
    assert_eq!(code, 75, "{line}");
    assert!(line.contains("in use by another process"), "{line}");
    running.stop();
}

#[test]
fn a_store_belongs_to_one_network() {
    let folder = tempfile::tempdir().unwrap();
    Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path()).stop();
    let (code, line) = refused(warren(folder.path(), &["standalone"]));
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("network"), "{line}");
    // Another simulator has another key.
    std::fs::remove_dir_all(folder.path().join("data/simulator")).unwrap();
    let (code, line) = refused(warren(folder.path(), &["standalone", "--simulator"]));
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("network"), "{line}");
}

#[test]
fn another_number_of_shards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Running::ready(warren(folder.path(), &["standalone"]), folder.path()).stop();
    let (code, line) = with(folder.path(), "WARREN_STORE__SHARD_COUNT", "16");
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("1024 shards"), "{line}");
}

#[test]
fn whatsapp_is_no_simulator() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["http://web.whatsapp.com", "http://g.whatsapp.net:80", "https://web.whatsapp.com", "127.0.0.1:8090"] {
        let (code, line) = refused(warren(folder.path(), &["standalone", "--simulator-url", url]));
        assert_eq!(code, 78, "{line}");
    }
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let content = "no database at all\n".repeat(100);
    std::fs::write(data.join("warren.db"), &content).unwrap();
    let (code, line) = refused(warren(folder.path(), &["standalone"]));
    assert_eq!(code, 78, "{line}");
    assert_eq!(std::fs::read_to_string(data.join("warren.db")).unwrap(), content);
}
