//! TLS to the coordinators: what one proves itself with, and whom its callers trust.
//!
//! TLS 1.3 alone is spoken, and no authority is trusted but those of the settings. TLS says who the coordinator is, and hides
//! what is said; who the caller is, its signature says ([`crate::credential`]).

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    CertificateError, ClientConfig, InvalidMessage, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};
use std::{
    error::Error,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The setting with the file of the authorities that callers trust.
pub const AUTHORITY: &str = "cluster.tls_authority";
/// The setting with the file of a coordinator's certificate chain.
pub const CERTIFICATE: &str = "coordinator.tls_certificate";
/// The setting with the file of its key.
pub const KEY: &str = "coordinator.tls_key";

/// The largest file that is read, bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// A file cannot be used: one line that names the setting, without anything that the file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {} {reason}", path.display())]
pub struct Unusable {
    setting: &'static str,
    path: PathBuf,
    reason: String,
}

impl Unusable {
    fn new(setting: &'static str, path: &Path, reason: impl Into<String>) -> Self {
        Self { setting, path: path.to_owned(), reason: reason.into() }
    }
}

/// The authorities of which one must have signed a coordinator's certificate. Cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

impl Trust {
    /// Those in a file: one certificate or several, in PEM.
    ///
    /// # Errors
    /// [`Unusable`] if it cannot be read, or holds no certificate of an authority.
    pub fn read(file: &Path) -> Result<Self, Unusable> {
        let unusable = |error: rustls::Error| Unusable::new(AUTHORITY, file, format!("cannot be used: {error}"));
        let mut roots = RootCertStore::empty();
        for authority in certificates(AUTHORITY, file)? {
            roots.add(authority).map_err(unusable)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?;
        Ok(Self(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Connects with TLS and never without.
    pub(crate) fn connector(&self, mut http: HttpConnector) -> HttpsConnector<HttpConnector> {
        http.enforce_http(false);
        let mut connector = HttpsConnector::from((http, Arc::clone(&self.0)));
        connector.enforce_https();
        connector
    }
}

/// What a coordinator proves itself with. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The chain in one file, its own certificate first, and its key in another, both in PEM.
    ///
    /// # Errors
    /// [`Unusable`] if one cannot be read or is not what it should be, or the key is another certificate's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Unusable> {
        let chain = certificates(CERTIFICATE, certificate)?;
        let own_key = PrivateKeyDer::from_pem_slice(&read(KEY, key)?)
            .map_err(|_| Unusable::new(KEY, key, "holds no key in PEM without a password"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, own_key));
        match config {
            Ok(config) => Ok(Self(Arc::new(config))),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(Unusable::new(KEY, key, format!("is not the key of {CERTIFICATE}")))
            }
            Err(error) => Err(Unusable::new(CERTIFICATE, certificate, format!("cannot be used: {error}"))),
        }
    }

    /// For an acceptor.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let text = read(setting, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| Unusable::new(setting, file, "holds no certificate in PEM"))
}

fn read(setting: &'static str, file: &Path) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let mut text = Zeroizing::new(Vec::new());
    match File::open(file).and_then(|opened| opened.take(LONGEST_FILE + 1).read_to_end(&mut text)) {
        Ok(length) if length as u64 <= LONGEST_FILE => Ok(text),
        Ok(_) => Err(Unusable::new(setting, file, format!("is larger than {LONGEST_FILE} bytes"))),
        Err(error) => Err(Unusable::new(setting, file, format!("cannot be read: {error}"))),
    }
}

/// Why a caller did not take its peer for a coordinator, if that is what an error is about.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    // An I/O error does not name as its source what is in it.
    let Some(error) = error.downcast_ref::<rustls::Error>() else {
        return distrust(error.downcast_ref::<io::Error>()?.get_ref()?);
    };
    Some(match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "what answers there speaks no TLS".to_owned(),
        // As it would be said, it would name the host.
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another host".to_owned(),
        error => error.to_string(),
    })
}
