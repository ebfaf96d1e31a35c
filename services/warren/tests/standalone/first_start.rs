//! The first start: keys are made, shown once, and work; the lines that are printed work as they stand.

use crate::process::{LIMIT, Running, get, post, text, warren};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn keys_are_shown_once_and_kept_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let (api, admin, key) = (first.address("API  "), first.value("Admin key"), first.value("API key"));
    let (status, tenants) = get(&api, "/v1/tenants", Some(&admin));
    assert_eq!(status, 200, "{tenants}");
    assert_eq!(tenants["data"][0]["id"], first.value("Tenant"));
    assert_eq!(get(&api, "/v1/instances", Some(&key)).0, 200);
    assert_eq!(get(&api, "/v1/tenants", Some(&key)).0, 404);
    assert_eq!(get(&api, "/v1/tenants", Some("wrn_admin_0123456789012345678901234567890123456789")).0, 401);
    assert_eq!(post(&api, "/v1/instances", Some(&key), r#"{"name":"kept"}"#).0, 201);
    first.stop();

    let mut second = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let api = second.address("API  ");
    assert!(!second.said().contains("key"), "{}", second.said());
    assert_eq!(get(&api, "/v1/tenants", Some(&admin)).0, 200);
    let (_, instances) = get(&api, "/v1/instances", Some(&key));
    assert_eq!(instances["data"][0]["name"], "kept");
    second.stop();

    // Neither key is anywhere in the folder, nor in a log.
    for entry in walk(folder.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        for secret in [&admin, &key] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a key is in {}", entry.display());
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn the_folder_is_private() {
    let folder = tempfile::tempdir().unwrap();
    Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path()).stop();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for file in ["warren.db", "sealing.key", "warren.lock", "simulator/trust.json"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_key_of_the_operators_own_is_used_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let own = "Kc7Xw2Lp9Rt4Zm6Qb8Ns1VyD";
    let mut command = warren(folder.path(), &["standalone", "--simulator"]);
    command.env("WARREN_ADMIN_KEY", own);
    let mut running = Running::ready(command, folder.path());
    let api = running.address("API  ");
    assert!(!running.said().contains("key"), "{}", running.said());
    let (status, tenants) = get(&api, "/v1/tenants", Some(own));
    assert_eq!((status, tenants["data"].as_array().map(Vec::len)), (200, Some(0)));
    running.stop();
}

#[test]
fn the_printed_lines_work_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let said = running.said();
    let (_, lines) = said.split_once("Try:\n").unwrap();
    let script = format!("set -u\n{lines}\n");
    let limit = LIMIT.as_secs().to_string();
    let shell = Command::new("timeout").args([&limit, "sh", "-c", &script]).stdin(Stdio::null()).output().unwrap();
    let output = text(&shell.stdout);
    assert!(shell.status.success(), "{output}{}", text(&shell.stderr));
    assert!(
        output.contains(r#""status":"sent""#) || output.contains(r#""status":"delivered""#),
        "{output}\n{}",
        running.errors()
    );
    assert!(output.contains("Hello"), "{output}");
    running.stop();
}
