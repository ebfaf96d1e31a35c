//! The keys a client trusts: the Noise static key with its certificate chain, and a private TLS authority.
//!
//! Kept on disk before first use, because a client pins them: with another static key every paired client would fall
//! back to a handshake whose chain it cannot verify, and stay away for good.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

const FILE: &str = "trust.json";
const TEN_YEARS: u64 = 10 * 365 * 86_400;

/// What a client has to know in advance to trust one simulator.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The Noise static key (X25519), the leaf of the certificate chain. Pin it for the IK handshake.
    pub static_public_key: [u8; 32],
    /// The root that signs the chain (XEdDSA), in place of WhatsApp's own. For clients that check the chain.
    pub root_public_key: [u8; 32],
    /// The authority that signed the TLS certificate, as PEM.
    pub tls_ca_pem: String,
}

/// Everything secret the simulator holds for itself.
pub(crate) struct Keys {
    pub(crate) static_key: KeyPair,
    /// The encoded `CertChain`, sent inside the handshake.
    pub(crate) cert_chain: Vec<u8>,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) trust: Trust,
}

/// The file: private keys and what was signed with those that are not kept (root, intermediate).
#[derive(Serialize, Deserialize)]
struct Stored {
    static_private_key: String,
    root_public_key: String,
    cert_chain: String,
    tls_ca_pem: String,
    tls_ca_key_pem: String,
}

impl Keys {
    /// Loads the keys of `data_dir`, or creates them and writes them (mode 0600) before they are used.
    pub(crate) fn load_or_create(data_dir: Option<&Path>, tls_names: &[String]) -> anyhow::Result<Self> {
        let stored = match data_dir {
            None => Stored::create()?,
            Some(dir) => {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(dir)
                    .with_context(|| format!("creating {}", dir.display()))?;
                let path = dir.join(FILE);
                match fs::read(&path) {
                    Ok(bytes) => serde_json::from_slice(&bytes).context("the trust file is damaged")?,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        let created = Stored::create()?;
                        write_private(&path, &serde_json::to_vec_pretty(&created)?)?;
                        created
                    }
                    Err(error) => return Err(error).context("reading the trust file"),
                }
            }
        };
        stored.into_keys(tls_names)
    }
}

impl Stored {
    fn create() -> anyhow::Result<Self> {
        let static_key = generate();
        let root = generate();
        let authority_key = rcgen::KeyPair::generate()?;
        let authority = authority_params()?.self_signed(&authority_key)?;
        Ok(Self {
            static_private_key: hex::encode(static_key.private_key.serialize()),
            root_public_key: hex::encode(root.public_key.public_key_bytes()),
            cert_chain: BASE64_STANDARD.encode(sign_chain(&root, &static_key)?),
            tls_ca_pem: authority.pem(),
            tls_ca_key_pem: authority_key.serialize_pem(),
        })
    }

    fn into_keys(self, tls_names: &[String]) -> anyhow::Result<Keys> {
        let private = PrivateKey::deserialize(&hex::decode(&self.static_private_key)?)?;
        let static_key = KeyPair::try_from(private)?;
        let trust = Trust {
            static_public_key: static_key.public_key.public_key_bytes().try_into()?,
            root_public_key: hex::decode(&self.root_public_key)?
                .try_into()
                .map_err(|_| anyhow::anyhow!("the root key of the trust file is not 32 bytes"))?,
            tls_ca_pem: self.tls_ca_pem.clone(),
        };
        let tls = tls_config(&self.tls_ca_key_pem, tls_names)?;
        Ok(Keys { static_key, cert_chain: BASE64_STANDARD.decode(&self.cert_chain)?, tls, trust })
    }
}

/// A fresh Curve25519 key pair.
pub(crate) fn generate() -> KeyPair {
    KeyPair::generate(&mut rand::rng())
}

/// root -> intermediate -> static key. The issuer's serial number is 0, which is what clients demand of the root.
fn sign_chain(root: &KeyPair, static_key: &KeyPair) -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let intermediate = generate();
    let certificate = |serial: u32, issuer_serial: u32, key: &KeyPair, issuer: &KeyPair| {
        let details = Details {
            serial: Some(serial),
            issuer_serial: Some(issuer_serial),
            key: Some(key.public_key.public_key_bytes().to_vec()),
            not_before: Some(now.saturating_sub(86_400)),
            not_after: Some(now + TEN_YEARS),
        }
        .encode_to_vec();
        let signature = issuer.calculate_signature(&details, &mut rand::rng())?;
        anyhow::Ok(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) })
    };
    Ok(CertChain {
        leaf: MessageField::some(certificate(2, 1, static_key, &intermediate)?),
        intermediate: MessageField::some(certificate(1, 0, &intermediate, root)?),
    }
    .encode_to_vec())
}

fn authority_params() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "Warren simulator authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A certificate of this start, signed by the kept authority: names may change from one start to the next.
fn tls_config(ca_key_pem: &str, names: &[String]) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let issuer = Issuer::new(authority_params()?, rcgen::KeyPair::from_pem(ca_key_pem)?);
    let mut subjects: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    subjects.extend(names.iter().cloned());
    let mut params = CertificateParams::new(subjects)?;
    params.distinguished_name.push(DnType::CommonName, "Warren simulator");
    let key = rcgen::KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    Ok(Arc::new(config))
}

/// Writes through a temporary file and a rename, synced, readable by the owner alone.
fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .context("creating the trust file")?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path).context("putting the trust file in place")?;
    Ok(())
}
