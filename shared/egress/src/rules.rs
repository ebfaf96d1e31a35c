//! The judgement of a URL by its shape, without any packet.

use crate::{Refused, address, policy::Policy};
use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv6Addr},
};
use url::{Host, Url};

/// The longest URL, bytes, as it was written and as it is sent.
const MAX_LENGTH: usize = 2_048;

/// Names that a cloud answers with its metadata service: refused whatever the deployment allows.
const METADATA_NAMES: [&str; 9] = [
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.azure.internal",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
];

/// Ends of names that mean something inside a network alone: RFC 6761, RFC 6762, RFC 8375, ICANN's `.internal`, Kubernetes.
const INTERNAL_SUFFIXES: [&str; 6] = ["home.arpa", "internal", "local", "localdomain", "localhost", "svc"];

/// A URL that passed [`Guard::check`](crate::Guard::check). It does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedUrl(Url);

impl CheckedUrl {
    /// The URL as it is asked for: normalised, so it may differ from what was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Debug for CheckedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CheckedUrl(..)")
    }
}

/// The policy, with its hosts read once.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    internal_names: HashSet<String>,
    own_names: HashSet<String>,
    own_addresses: HashSet<IpAddr>,
}

impl Rules {
    /// `None` if an own host is neither a name nor an address, or an internal name is none.
    pub(crate) fn new(policy: Policy) -> Option<Self> {
        let (mut internal_names, mut own_names, mut own_addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
        for entry in &policy.internal_names {
            let Host::Domain(name) = host(entry)? else { return None };
            internal_names.insert(name);
        }
        for entry in &policy.own_hosts {
            match host(entry)? {
                Host::Domain(name) => drop(own_names.insert(name)),
                Host::Ipv4(address) => drop(own_addresses.insert(IpAddr::V4(address))),
                Host::Ipv6(address) => own_addresses.extend(meanings(IpAddr::V6(address))),
            }
        }
        Some(Self { policy, internal_names, own_names, own_addresses })
    }

    /// Judges a URL that a caller wrote.
    pub(crate) fn check(&self, written: &str) -> Result<CheckedUrl, Refused> {
        characters(written)?;
        self.judged(Url::parse(written).map_err(|_| Refused::Malformed)?)
    }

    /// Judges where a server sends on to: an absolute URL, or one relative to `from`.
    pub(crate) fn check_redirect(&self, from: &CheckedUrl, location: &str) -> Result<CheckedUrl, Refused> {
        characters(location)?;
        self.judged(from.0.join(location).map_err(|_| Refused::Malformed)?)
    }

    /// Judges an address, written in a URL or answered for its name.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        if meanings(address).iter().any(|meaning| self.own_addresses.contains(meaning)) {
            return Err(Refused::OwnHost);
        }
        if address::allowed(address, &self.policy.networks) { Ok(()) } else { Err(Refused::Address) }
    }

    /// Judges a host that a caller named without a URL: a name, or an address (IPv6 without brackets).
    pub(crate) fn check_host(&self, written: &str) -> Result<(), Refused> {
        match host(written).ok_or(Refused::Malformed)? {
            Host::Domain(name) => self.check_name(&name),
            Host::Ipv4(address) => self.check_address(IpAddr::V4(address)),
            Host::Ipv6(address) => self.check_address(IpAddr::V6(address)),
        }
    }

    /// The address that a host is, if it is no name.
    pub(crate) fn literal(written: &str) -> Option<IpAddr> {
        match host(written)? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        }
    }

    fn judged(&self, mut url: Url) -> Result<CheckedUrl, Refused> {
        match url.scheme() {
            "https" => {}
            "http" if self.policy.plain_http => {}
            "http" => return Err(Refused::PlainHttp),
            _ => return Err(Refused::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        match url.host().ok_or(Refused::Malformed)? {
            Host::Domain(name) => self.check_name(name)?,
            Host::Ipv4(address) => self.check_address(IpAddr::V4(address))?,
            Host::Ipv6(address) => self.check_address(IpAddr::V6(address))?,
        }
        let port = url.port_or_known_default().ok_or(Refused::Port)?;
        if !self.policy.ports.contains(&port) {
            return Err(Refused::Port);
        }
        url.set_fragment(None);
        // Encoding may have made it longer than it was written.
        if url.as_str().len() > MAX_LENGTH { Err(Refused::TooLong) } else { Ok(CheckedUrl(url)) }
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let name = without_root(name);
        if name.split('.').any(str::is_empty) {
            return Err(Refused::Malformed);
        }
        if self.own_names.contains(name) {
            return Err(Refused::OwnHost);
        }
        let internal = !name.contains('.') || INTERNAL_SUFFIXES.iter().any(|suffix| ends_in(name, suffix));
        if METADATA_NAMES.contains(&name) || (internal && !self.internal_names.contains(name)) {
            return Err(Refused::InternalName);
        }
        Ok(())
    }
}

fn ends_in(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// What must not stand in a written URL. The parser would drop some of it silently, and whoever reads the URL without a
/// parser, a log or a script, would read another one.
fn characters(written: &str) -> Result<(), Refused> {
    if written.len() > MAX_LENGTH {
        return Err(Refused::TooLong);
    }
    let lower = written.to_ascii_lowercase();
    let line_break = lower.contains("%0d") || lower.contains("%0a");
    if line_break || written.contains('\\') || written.chars().any(char::is_control) {
        Err(Refused::Characters)
    } else {
        Ok(())
    }
}

/// The address itself and the IPv4 addresses it carries.
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let mut meanings = vec![address];
    if let IpAddr::V6(address) = address {
        meanings.extend(address::embedded(address).into_iter().map(IpAddr::V4));
    }
    meanings
}

fn host(entry: &str) -> Option<Host> {
    // An IPv6 address may stand without the brackets that it has in a URL.
    if let Ok(address) = entry.parse::<Ipv6Addr>() {
        return Some(Host::Ipv6(address));
    }
    match Host::parse(entry).ok()? {
        Host::Domain(name) => Some(Host::Domain(without_root(&name).to_owned())),
        address => Some(address),
    }
}

/// A name without the dot of DNS's root at its end: both forms name the same host.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests;
