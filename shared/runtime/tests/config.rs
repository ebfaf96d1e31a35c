//! Where settings come from, which one wins, and what is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde::Deserialize;
use std::io::Write;
use warren_runtime::config::{self, Config, Error, Loaded, Sources};

/// Stands for a service's own options: of the documented keys it knows one that both services have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Service {
    sweep_ms: u32,
}

/// The services of these tests.
#[derive(Debug, Clone)]
struct Two;

impl config::Services for Two {
    type Gateway = Service;
    type Worker = Service;
    type Dispatcher = serde::de::IgnoredAny;
    type Coordinator = serde::de::IgnoredAny;
}

fn load(sources: &Sources) -> Result<Loaded<Two>, Error> {
    config::load(sources)
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn with_file(text: &str, variables: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.toml");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    (folder, Sources { file: Some(path), ..environment(variables) })
}

fn config_of(variables: &[(&str, &str)]) -> Config<Two> {
    load(&environment(variables)).unwrap().config
}

fn refused(variables: &[(&str, &str)]) -> String {
    let line = load(&environment(variables)).unwrap_err().to_string();
    assert!(!line.contains('\n'), "one line: {line}");
    line
}

#[test]
fn the_defaults_are_the_documented_file() {
    let Loaded { config, effective, warnings } = load(&Sources::default()).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.simulator.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(config.store.data_dir.to_str(), Some("./warren-data"));
    assert_eq!(config.store.shard_count.get(), 1024);
    assert!(config.admin.key.is_none() && config.store.sealing_key.is_none());
    assert_eq!((config.gateway.sweep_ms, config.worker.sweep_ms), (1000, 1000));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(effective.contains("127.0.0.1:8080"), "{effective}");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[gateway]\nsweep_ms = 7\n[shutdown]\ngrace_seconds = 3\n";
    let (_folder, sources) = with_file(file, &[("WARREN_LISTEN", "127.0.0.1:2"), ("WARREN_SHUTDOWN__GRACE_SECONDS", "4")]);
    let config = load(&sources).unwrap().config;
    assert_eq!((config.server.listen.port(), config.gateway.sweep_ms, config.shutdown.grace_seconds), (2, 7, 4));
    assert_eq!(config.store.readers, 4);
    let sources = sources.with("server.listen", "127.0.0.1:3");
    assert_eq!(load(&sources).unwrap().config.server.listen.port(), 3, "the command line wins over all");
}

#[test]
fn every_well_known_name_works() {
    let config = config_of(&[
        ("WARREN_LISTEN", "localhost:1000"),
        ("WARREN_ADMIN_LISTEN", "[::1]:1001"),
        ("WARREN_SIMULATOR_LISTEN", "127.0.0.1:1002"),
        ("WARREN_DATA_DIR", "2024"),
        ("WARREN_ADMIN_KEY", "12345678901234567890123456789012"),
        ("WARREN_SEALING_KEY", "00"),
        ("RUST_LOG", "error"),
        ("PORT", "1003"),
    ]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:1003", "PORT replaces the port alone");
    assert_eq!(config.admin.listen.to_string(), "[::1]:1001");
    assert_eq!(config.simulator.listen.port(), 1002);
    assert_eq!(config.store.data_dir.to_str(), Some("2024"));
    assert_eq!(config.admin.key.unwrap().reveal(), "12345678901234567890123456789012");
    assert_eq!(config.store.sealing_key.unwrap().reveal(), "00");
    assert_eq!(config.log.filter, "error");
}

#[test]
fn the_sections_of_services_are_set_like_the_others() {
    let config = config_of(&[("WARREN_GATEWAY__SWEEP_MS", "9"), ("WARREN_WORKER__SWEEP_MS", "8")]);
    assert_eq!((config.gateway.sweep_ms, config.worker.sweep_ms), (9, 8));
    assert!(refused(&[("WARREN_GATEWAY__SWEEP_MS", "often")]).starts_with("gateway.sweep_ms:"));
}

#[test]
fn an_empty_value_is_none() {
    let config = config_of(&[("WARREN_ADMIN_KEY", ""), ("PORT", ""), ("WARREN_LISTEN", "")]);
    assert!(config.admin.key.is_none());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn a_secret_can_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "s3cret\n").unwrap();
    let path = path.to_str().unwrap();
    for name in ["WARREN_ADMIN_KEY_FILE", "WARREN_ADMIN__KEY_FILE"] {
        assert_eq!(config_of(&[(name, path)]).admin.key.unwrap().reveal(), "s3cret");
    }
    assert!(refused(&[("WARREN_ADMIN_KEY_FILE", path), ("WARREN_ADMIN_KEY", "x")]).starts_with("admin.key:"));
    assert!(refused(&[("WARREN_ADMIN_KEY_FILE", "/nowhere")]).starts_with("WARREN_ADMIN_KEY_FILE:"));
    std::fs::write(path, "\n").unwrap();
    assert!(refused(&[("WARREN_ADMIN_KEY_FILE", path)]).contains("empty"));
}

#[test]
fn no_secret_is_shown() {
    let variables = [("WARREN_ADMIN_KEY", "canary-a"), ("WARREN_SEALING_KEY", "canary-b")];
    let loaded = load(&environment(&variables)).unwrap();
    let shown = format!("{}{:?}", loaded.effective, loaded.config);
    assert!(!shown.contains("canary"), "{shown}");
    assert!(loaded.effective.contains("(hidden)"));
    let (_folder, sources) = with_file("[admin]\nkey = 4711\n", &[]);
    let line = load(&sources).unwrap_err().to_string();
    assert_eq!(line, "admin.key: must be a text");
}

#[test]
fn what_is_in_effect_can_be_read_back() {
    let loaded = load(&environment(&[("PORT", "77"), ("WARREN_WORKER__SWEEP_MS", "8")])).unwrap();
    let (_folder, sources) = with_file(&loaded.effective, &[]);
    let again = load(&sources).unwrap().config;
    assert_eq!((again.server.listen.port(), again.worker.sweep_ms), (77, 8));
}

#[test]
fn wrong_settings_are_refused_by_name() {
    assert!(refused(&[("WARREN_LISTEN", "nonsense")]).starts_with("server.listen:"));
    assert!(refused(&[("PORT", "70000")]).starts_with("PORT:"));
    assert!(refused(&[("WARREN_STORE__SHARD_COUNT", "0")]).starts_with("store.shard_count:"));
    assert!(refused(&[("WARREN_STORE__READERS", "65")]).starts_with("store.readers:"));
    assert!(refused(&[("WARREN_SHUTDOWN__GRACE_SECONDS", "0")]).starts_with("shutdown.grace_seconds:"));
    assert!(refused(&[("RUST_LOG", "warren=loud")]).starts_with("log.filter:"));
    assert!(refused(&[("WARREN_LOG__FORMAT", "xml")]).starts_with("log.format:"));
    assert!(refused(&[("WARREN_ADMIN_LISTEN", "127.0.0.1:8080")]).contains("different ports"));
    assert!(refused(&[("WARREN_SERVER__LISTN", "127.0.0.1:1")]).contains("listn"));
    assert!(refused(&[("WARREN_NOTHING__X", "1")]).contains("nothing"));
}

#[test]
fn an_address_for_other_machines_needs_a_word() {
    let line = refused(&[("WARREN_LISTEN", "0.0.0.0:8080")]);
    assert!(line.contains("server.allow_plaintext"), "{line}");
    assert!(refused(&[("WARREN_ADMIN_LISTEN", "[::]:9090")]).contains("admin.allow_plaintext"));
    let config = config_of(&[("WARREN_LISTEN", "0.0.0.0:8080"), ("WARREN_SERVER__ALLOW_PLAINTEXT", "true")]);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
}

#[test]
fn a_wrong_file_is_refused() {
    let (_folder, sources) = with_file("[server\n", &[]);
    let line = load(&sources).unwrap_err().to_string();
    assert!(line.contains("some.toml") && !line.contains('\n'), "{line}");
    let missing = Sources { file: Some("/nowhere/warren.toml".into()), ..Sources::default() };
    assert!(load(&missing).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn names_that_look_like_settings_are_noted() {
    let variables = [("WARREN_LISTN", "x"), ("WARREN_FAULT_POINT", "x"), ("HOME", "x")];
    let warnings = load(&environment(&variables)).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_cluster_is_named_by_the_usual_variables() {
    let secret = "0123456789abcdef0123456789abcdef";
    let variables = [
        ("DATABASE_URL", "postgres://w:canary@db/warren"),
        ("REDIS_URL", "redis://:canary@r:6379"),
        ("NATS_URL", "nats://w:canary@n:4222"),
        ("WARREN_CLUSTER_SECRET", secret),
        ("WARREN_CLUSTER__COORDINATORS", "a:7000, b:7000,c:7000"),
    ];
    let loaded = load(&environment(&variables)).unwrap();
    assert!(!format!("{}{:?}", loaded.effective, loaded.config).contains("canary"));
    let config = loaded.config;
    assert_eq!(config.database.url.unwrap().reveal(), "postgres://w:canary@db/warren");
    assert_eq!(config.redis.url.unwrap().reveal(), "redis://:canary@r:6379");
    assert_eq!(config.nats.url.unwrap().reveal(), "nats://w:canary@n:4222");
    assert_eq!(config.cluster.coordinators, ["a:7000", "b:7000", "c:7000"]);
    let (_folder, sources) = with_file("[cluster]\ncoordinators = [\"a:1\"]\n", &[]);
    assert_eq!(load(&sources).unwrap().config.cluster.coordinators, ["a:1"]);

    assert!(refused(&[("WARREN_CLUSTER_SECRET", "short")]).starts_with("cluster.secret: must have at least 32"));
    assert!(refused(&[("WARREN_CLUSTER__COORDINATORS", "a:7000,b:7000")]).starts_with("cluster.coordinators:"));
    assert!(refused(&[("WARREN_CLUSTER__COORDINATORS", "a")]).contains("host:7000"));
    let line = refused(&[("WARREN_CLUSTER__COORDINATORS", "https://a:7000")]);
    assert!(line.starts_with("cluster.coordinators: `https://a:7000`") && line.contains("cluster.tls_authority"), "{line}");
    let config = config_of(&[("WARREN_CLUSTER__TLS_AUTHORITY", "/etc/warren/authority.pem")]);
    assert_eq!(config.cluster.tls_authority.to_str(), Some("/etc/warren/authority.pem"));
    assert!(refused(&[("WARREN_CLUSTER__ID", "My Cluster")]).starts_with("cluster.id:"));
    assert!(refused(&[("WARREN_DATABASE__LANES", "0")]).starts_with("database.lanes:"));
}

#[test]
fn object_storage_needs_all_of_its_settings_and_hides_its_secret() {
    let endpoint = ("WARREN_MEDIA__S3_ENDPOINT", "https://objects.example");
    let line = refused(&[endpoint]);
    assert!(line.contains("media.s3_bucket"), "{line}");
    let line = refused(&[endpoint, ("WARREN_MEDIA__S3_BUCKET", "b"), ("WARREN_MEDIA__S3_ACCESS_KEY", "a")]);
    assert!(line.contains("media.s3_secret_key"), "{line}");
    let whole = [
        endpoint,
        ("WARREN_MEDIA__S3_BUCKET", "4711"),
        ("WARREN_MEDIA__S3_ACCESS_KEY", "a"),
        ("WARREN_MEDIA__S3_SECRET_KEY", "canary"),
    ];
    let Loaded { config, effective, .. } = load(&environment(&whole)).unwrap();
    assert_eq!((config.media.s3_bucket.as_str(), config.media.s3_secret_key.unwrap().reveal()), ("4711", "canary"));
    assert!(!effective.contains("canary"), "{effective}");
}

#[test]
fn limits_of_files_and_what_may_be_fetched_are_settings() {
    let config = config_of(&[]);
    assert_eq!(config.media.limits(), warren_domain::media::MediaLimits::default());
    assert!(!config.egress.allow_http && config.egress.networks.is_empty());
    let config = config_of(&[
        ("WARREN_MEDIA__MAX_STICKER_BYTES", "5"),
        ("WARREN_EGRESS__ALLOW_HTTP", "true"),
        ("WARREN_EGRESS__PORTS", "[80, 9000]"),
        ("WARREN_EGRESS__NETWORKS", "[\"127.0.0.1/32\"]"),
    ]);
    assert_eq!(config.media.limits().max_sticker_bytes, 5);
    assert_eq!(
        (config.egress.allow_http, config.egress.ports, config.egress.networks),
        (true, vec![80, 9_000], vec!["127.0.0.1/32".to_owned()])
    );
    let line = refused(&[("WARREN_MEDIA__MAX_PIXELS", "0")]);
    assert!(line.contains("media.max_pixels"), "{line}");
}
