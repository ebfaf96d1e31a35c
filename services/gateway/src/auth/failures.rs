//! How often an address presented wrong credentials in the last minute.

use moka::sync::Cache;
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// So many times as many as are answered as such are a flood.
const FLOOD: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How many addresses are remembered.
const ADDRESSES: u64 = 50_000;

/// What an address has coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within the limit.
    Few,
    /// Over the limit: wrong credentials are 429. Right ones still pass, for many callers may share one address.
    Many,
    /// Ten times over the limit: the store is not asked any more for this address, only keys that are remembered get through.
    Flood,
}

/// Counts failures by address, in windows of a minute that begin with the first failure.
#[derive(Debug)]
pub(super) struct Failures {
    counts: Cache<IpAddr, Arc<AtomicU32>>,
    few: u32,
}

impl Failures {
    /// So many failures a minute are answered as such; further ones with 429.
    pub(super) fn new(few: u32) -> Self {
        Self { counts: Cache::builder().max_capacity(ADDRESSES).time_to_live(WINDOW).build(), few }
    }

    /// Counts one failure.
    pub(super) fn count(&self, address: IpAddr) -> Verdict {
        let count = self.counts.get_with(subject(address), Arc::default);
        self.judge(count.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// What the address has coming now.
    pub(super) fn verdict(&self, address: IpAddr) -> Verdict {
        self.counts.get(&subject(address)).map_or(Verdict::Few, |count| self.judge(count.load(Ordering::Relaxed)))
    }

    const fn judge(&self, failures: u32) -> Verdict {
        if failures <= self.few {
            Verdict::Few
        } else if failures <= self.few.saturating_mul(FLOOD) {
            Verdict::Many
        } else {
            Verdict::Flood
        }
    }
}

/// One customer of an IPv6 provider has a whole /64.
pub(crate) fn subject(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn twenty_are_few() {
        let failures = Failures::new(20);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!((0..20).all(|_| failures.count(one) == Verdict::Few));
        assert_eq!(failures.count(one), Verdict::Many);
        assert_eq!(failures.verdict(other), Verdict::Few);
        assert!((21..200).all(|_| failures.count(one) == Verdict::Many));
        assert_eq!(failures.count(one), Verdict::Flood);
        assert_eq!(failures.verdict(one), Verdict::Flood);
    }

    #[test]
    fn a_network_is_one_address() {
        let failures = Failures::new(20);
        for host in 0..21 {
            failures.count(format!("2001:db8::{host:x}").parse().unwrap());
        }
        assert_eq!(failures.verdict("2001:db8::ffff".parse().unwrap()), Verdict::Many);
        assert_eq!(failures.verdict("2001:db8:0:1::".parse().unwrap()), Verdict::Few);
    }
}
