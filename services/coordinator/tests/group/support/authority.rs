//! An authority of a test, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;
use warren_coordinator::{Options, Tls};
use warren_raft::tls::Trust;

/// Its files; they go when it is dropped.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        // Two of them have different names.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("authority.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The files with a certificate for a host, and with its key.
    pub(crate) fn sign(&self, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files = (self.folder.path().join(format!("{host}.pem")), self.folder.path().join(format!("{host}.key")));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    /// What a coordinator on this machine speaks TLS with.
    pub(crate) fn tls(&self) -> Tls {
        let (tls_certificate, tls_key) = self.sign("127.0.0.1");
        Tls::read(&Options { tls_certificate, tls_key, ..Options::default() }, &self.file()).unwrap().unwrap()
    }

    /// What a caller trusts.
    pub(crate) fn trust(&self) -> Trust {
        Trust::read(&self.file()).unwrap()
    }
}
