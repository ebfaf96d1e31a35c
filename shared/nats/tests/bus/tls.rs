//! TLS, by the certificates that the machine trusts.

use crate::common::SECRET;
use std::path::Path;
use warren_nats::{ConnectError, Metrics, Options, check, connect};
use warren_testkit::services::Nats;
use warren_testkit::{PATIENCE, Process};

/// Tells the child where to connect.
const URL: &str = "TEST_NATS_URL";

/// A server whose certificate an authority of its own signed, and that authority's certificate.
async fn served(folder: &Path) -> (Nats, std::path::PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (certificate_file, key_file) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let tls = format!("tls {{ cert_file: {certificate_file:?}, key_file: {key_file:?} }}");
    (Nats::start_with(&tls).await.unwrap(), certificate_file)
}

#[tokio::test]
async fn a_certificate_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (nats, authority) = served(folder.path()).await;
    let url = nats.url().replace("nats://", "tls://");
    let error = connect(&Options::new(&url, "test", SECRET, "tester"), Metrics::new().unwrap()).await.map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["tls::connects_where_it_is_told", "--exact", "--ignored", "--nocapture"]);
    child.env("SSL_CERT_FILE", authority).env(URL, url);
    let ended = Process::start(child).unwrap().ended(PATIENCE).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own, which trusts that test's authority"]
async fn connects_where_it_is_told() {
    let url = std::env::var(URL).unwrap();
    let checked = check(&Options::new(&url, "test", SECRET, "tester")).await.unwrap();
    assert!(checked.server.starts_with("2."));
}
