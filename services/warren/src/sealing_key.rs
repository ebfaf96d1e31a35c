//! The key that seals session keys at rest: from the settings, or from a file of the data folder that the first start makes.
//!
//! The store keeps a value sealed with it, so that a later start with another key is refused before anything is read.

use crate::compose::Facts;
use crate::failure::Failure;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use warren_runtime::config::Secret;
use warren_worker::sealing::MasterKey;
use zeroize::Zeroizing;

/// In the data folder.
pub(crate) const FILE: &str = "sealing.key";
/// The sealed value in the store.
pub(crate) const CHECK: &str = "sealing_check";

type Bytes = Zeroizing<[u8; 32]>;

/// The key for this store. An empty store gets one made and kept in `folder`, unless the settings have one.
pub(crate) async fn settle(store: &impl Facts, folder: &Path, configured: Option<&Secret>) -> Result<MasterKey, Failure> {
    let check = store.fact(CHECK).await?;
    let key = match find(folder, configured)? {
        Some(key) => key,
        None if check.is_none() => make(folder)
            .map_err(|error| Failure::config(format!("{} cannot be written: {error}", folder.join(FILE).display())))?,
        None => {
            return Err(Failure::config(format!(
                "the sealing key is missing: this store was sealed, so restore {} or set WARREN_SEALING_KEY",
                folder.join(FILE).display()
            )));
        }
    };
    let key = MasterKey::from_bytes(*key);
    let stored = match check {
        Some(stored) => stored,
        None => store.settle_fact(CHECK, &key.seal_check()?).await?,
    };
    if key.opens_check(&stored) { Ok(key) } else { Err(Failure::config(wrong())) }
}

/// The configured key for a store that several processes share: none is made, because each would make its own.
pub(crate) async fn settle_shared(store: &impl Facts, configured: Option<&Secret>) -> Result<MasterKey, Failure> {
    let Some(secret) = configured else {
        return Err(Failure::config(
            "WARREN_SEALING_KEY is missing: the workers of a cluster share one key, 32 bytes, for example from `openssl rand -hex 32`",
        ));
    };
    let key = MasterKey::from_bytes(*parse(secret.reveal()).ok_or_else(malformed)?);
    let stored = store.settle_fact(CHECK, &key.seal_check()?).await?;
    if key.opens_check(&stored) { Ok(key) } else { Err(Failure::config(wrong())) }
}

/// Whether the configured key opens what was sealed with another store's.
pub(crate) fn compare(configured: Option<&Secret>, check: Option<&[u8]>) -> Result<(), Failure> {
    let (Some(secret), Some(check)) = (configured, check) else {
        return Err(Failure::config("the sealing key is missing"));
    };
    let key = MasterKey::from_bytes(*parse(secret.reveal()).ok_or_else(malformed)?);
    if key.opens_check(check) { Ok(()) } else { Err(Failure::config("the sealing key is another one")) }
}

fn malformed() -> Failure {
    Failure::config("WARREN_SEALING_KEY: must be 32 bytes, as hex or base64")
}

/// What `doctor` says: a sentence, and whether it is well.
pub(crate) async fn examine(store: &impl Facts, folder: &Path, configured: Option<&Secret>) -> Result<String, Failure> {
    let check = store.fact(CHECK).await?;
    match (find(folder, configured)?, check) {
        (Some(key), Some(check)) if MasterKey::from_bytes(*key).opens_check(&check) => Ok("opens this store".to_owned()),
        (Some(_), Some(_)) => Err(Failure::config(wrong())),
        (Some(_), None) => Ok("present, and the store is not sealed yet".to_owned()),
        (None, None) => Ok("is made at the first start".to_owned()),
        (None, Some(_)) => Err(Failure::config("is missing, and this store was sealed with one")),
    }
}

fn wrong() -> &'static str {
    "the sealing key is not the one this store was sealed with; nothing was changed"
}

fn find(folder: &Path, configured: Option<&Secret>) -> Result<Option<Bytes>, Failure> {
    if let Some(secret) = configured {
        let key = parse(secret.reveal());
        return key.map(Some).ok_or_else(malformed);
    }
    let path = folder.join(FILE);
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => {
            let key = parse(&text);
            key.map(Some).ok_or_else(|| Failure::config(format!("{}: is damaged, restore it", path.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::config(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// 64 hex digits, or base64 of 32 bytes.
fn parse(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let mut key = Zeroizing::new([0; 32]);
    if hex::decode_to_slice(text, key.as_mut_slice()).is_ok() {
        return Some(key);
    }
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    key = Zeroizing::new(bytes.as_slice().try_into().ok()?);
    Some(key)
}

/// A fresh key, on disk before it is used: what is sealed with it would be lost without it.
fn make(folder: &Path) -> std::io::Result<Bytes> {
    let key: Bytes = Zeroizing::new(rand::random());
    let text = Zeroizing::new(hex::encode(key.as_slice()) + "\n");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(FILE))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    tracing::warn!("a sealing key was made in the data folder; keep a copy of it apart from the store's");
    Ok(key)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::compose::local;
    use std::os::unix::fs::PermissionsExt;
    use warren_domain::Network;

    async fn store(folder: &Path) -> local::Store {
        local::open(local::store_options(folder, Network::Whatsapp)).await.unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn reads_hex_and_base64() {
        let hex = "07".repeat(32);
        assert_eq!(*parse(&hex).unwrap(), [7; 32]);
        assert_eq!(*parse(&format!(" {}\n", STANDARD.encode([7; 32]))).unwrap(), [7; 32]);
        for text in ["", "07", "zz", &hex[1..], &STANDARD.encode([7; 31])] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_first_start_makes_one_and_later_ones_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let key = settle(&store, folder.path(), None).await.unwrap();
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = settle(&store, folder.path(), None).await.unwrap();
        assert!(again.opens_check(&key.seal_check().unwrap()));
        assert_eq!(examine(&store, folder.path(), None).await.unwrap(), "opens this store");
    }

    #[tokio::test]
    async fn another_key_or_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let (right, wrong) = (secret(&"01".repeat(32)), secret(&"02".repeat(32)));
        settle(&store, folder.path(), Some(&right)).await.unwrap();
        assert!(!folder.path().join(FILE).exists(), "a given key is not written down");
        let line = settle(&store, folder.path(), Some(&wrong)).await.unwrap_err().to_string();
        assert!(line.contains("not the one"), "{line}");
        let line = settle(&store, folder.path(), None).await.unwrap_err().to_string();
        assert!(line.contains("missing"), "{line}");
        assert!(!folder.path().join(FILE).exists(), "no second key is made for a sealed store");
        let line = settle(&store, folder.path(), Some(&secret("short"))).await.unwrap_err().to_string();
        assert!(line.contains("32 bytes") && !line.contains("short"), "{line}");
        assert!(examine(&store, folder.path(), Some(&wrong)).await.is_err());
    }
}
