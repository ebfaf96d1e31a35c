//! What a single key's type cannot say.

use super::{Config, Error};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

impl<G, W> Config<G, W> {
    pub(super) fn validate(&self) -> Result<(), Error> {
        exposed("server", self.server.listen, self.server.allow_plaintext)?;
        exposed("admin", self.admin.listen, self.admin.allow_plaintext)?;
        self.distinct_addresses()?;
        within("store.readers", self.store.readers as u64, 1..=64)?;
        within("shutdown.grace_seconds", self.shutdown.grace_seconds.into(), 1..=600)?;
        if self.store.data_dir.as_os_str().is_empty() {
            return Err(Error("store.data_dir: must name a folder".to_owned()));
        }
        self.media.limits().validate().map_err(Error)?;
        self.bucket()?;
        crate::log::check_filter(&self.log.filter).map_err(|error| Error(format!("log.filter: {error}")))
    }

    /// Object storage needs all of its settings, or none.
    fn bucket(&self) -> Result<(), Error> {
        let media = &self.media;
        let needed = [
            ("s3_bucket", media.s3_bucket.is_empty()),
            ("s3_region", media.s3_region.is_empty()),
            ("s3_access_key", media.s3_access_key.is_empty()),
            ("s3_secret_key", media.s3_secret_key.is_none()),
        ];
        match needed.into_iter().find(|(_, is_missing)| *is_missing) {
            Some((key, _)) if !media.s3_endpoint.is_empty() => {
                Err(Error(format!("media.{key}: is needed together with media.s3_endpoint")))
            }
            _ => Ok(()),
        }
    }

    fn distinct_addresses(&self) -> Result<(), Error> {
        let all = [
            ("server.listen", self.server.listen),
            ("admin.listen", self.admin.listen),
            ("simulator.listen", self.simulator.listen),
        ];
        for (place, (name, address)) in all.iter().enumerate() {
            let clash = all.iter().take(place).find(|(_, other)| other == address && address.port() != 0);
            if let Some((other, _)) = clash {
                return Err(Error(format!("{name}: {address} is also {other}; give them different ports")));
            }
        }
        Ok(())
    }
}

fn exposed(section: &str, listen: SocketAddr, allowed: bool) -> Result<(), Error> {
    if allowed || listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(Error(format!(
        "{section}.listen: {listen} can be reached by other machines and speaks plain HTTP; \
         set {section}.allow_plaintext = true if TLS ends in front of it, or listen on 127.0.0.1"
    )))
}

fn within(key: &str, value: u64, limits: RangeInclusive<u64>) -> Result<(), Error> {
    if limits.contains(&value) {
        return Ok(());
    }
    Err(Error(format!("{key}: {value} is not within {} and {}", limits.start(), limits.end())))
}
