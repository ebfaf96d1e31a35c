//! What a single key's type cannot say.

use super::{Config, Error, Services};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// Characters of a secret that nobody guesses.
const SHORTEST_SECRET: usize = 32;

impl<S: Services> Config<S> {
    pub(super) fn validate(&self) -> Result<(), Error> {
        exposed("server", self.server.listen, self.server.allow_plaintext)?;
        exposed("admin", self.admin.listen, self.admin.allow_plaintext)?;
        self.distinct_addresses()?;
        within("store.readers", self.store.readers as u64, 1..=64)?;
        within("shutdown.grace_seconds", self.shutdown.grace_seconds.into(), 1..=600)?;
        if self.store.data_dir.as_os_str().is_empty() {
            return Err(Error("store.data_dir: must name a folder".to_owned()));
        }
        within("database.connections", self.database.connections.into(), 2..=1_000)?;
        within("database.lanes", self.database.lanes.into(), 1..=64)?;
        self.cluster()?;
        self.media.limits().validate().map_err(Error)?;
        self.bucket()?;
        self.seed.validate()?;
        crate::log::check_filter(&self.log.filter).map_err(|error| Error(format!("log.filter: {error}")))
    }

    fn cluster(&self) -> Result<(), Error> {
        let cluster = &self.cluster;
        let named = (1..=32).contains(&cluster.id.len())
            && cluster.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !named {
            return Err(Error("cluster.id: must be 1 to 32 small letters, digits or hyphens".to_owned()));
        }
        if cluster.secret.as_ref().is_some_and(|secret| secret.reveal().trim().len() < SHORTEST_SECRET) {
            return Err(Error(format!(
                "cluster.secret: must have at least {SHORTEST_SECRET} characters, for example from `openssl rand -base64 32`"
            )));
        }
        if !matches!(cluster.coordinators.len(), 0 | 1 | 3 | 5) {
            return Err(Error("cluster.coordinators: must name 1, 3 or 5 of them".to_owned()));
        }
        if let Some(text) = cluster.coordinators.iter().find(|text| text.contains("://")) {
            return Err(Error(format!(
                "cluster.coordinators: `{text}` is not of the form host:7000; whether they speak TLS says cluster.tls_authority"
            )));
        }
        let is_address = |text: &&String| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match cluster.coordinators.iter().find(|text| !is_address(text)) {
            Some(text) => Err(Error(format!("cluster.coordinators: `{text}` is not of the form host:7000"))),
            None => Ok(()),
        }
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
