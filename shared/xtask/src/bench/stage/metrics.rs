//! What processes count.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For one answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The hops of a text as the metrics count them: sum of the seconds, and how many.
pub(crate) struct Hops {
    commit: (f64, f64),
    hand: (f64, f64),
    ack: (f64, f64),
}

/// The means of the hops, milliseconds.
pub(crate) struct Means {
    pub(crate) commit_ms: f64,
    pub(crate) hand_ms: f64,
    pub(crate) ack_ms: f64,
    /// How many commits there were.
    pub(crate) commits: f64,
}

impl Hops {
    /// As all these processes count them, each by the address of its metrics.
    pub(super) fn of(admins: &[&str]) -> Result<Self> {
        let mut hops = Self { commit: (0.0, 0.0), hand: (0.0, 0.0), ack: (0.0, 0.0) };
        for admin in admins {
            let metrics = get(admin, "/metrics")?;
            let add = |sums: &mut (f64, f64), name: &str, labels: &str| -> Result<()> {
                sums.0 += value(&metrics, &format!("{name}_sum{labels}"))?;
                sums.1 += value(&metrics, &format!("{name}_count{labels}"))?;
                Ok(())
            };
            add(&mut hops.commit, "warren_commit_seconds", "")?;
            add(&mut hops.hand, "warren_send_seconds", "{hop=\"hand\"}")?;
            add(&mut hops.ack, "warren_send_seconds", "{hop=\"ack\"}")?;
        }
        Ok(hops)
    }

    /// What they took on average since an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Means {
        let mean = |now: (f64, f64), then: (f64, f64)| (now.0 - then.0) / (now.1 - then.1).max(1.0) * 1000.0;
        Means {
            commit_ms: mean(self.commit, before.commit),
            hand_ms: mean(self.hand, before.hand),
            ack_ms: mean(self.ack, before.ack),
            commits: self.commit.1 - before.commit.1,
        }
    }
}

/// How many instances are online, over all these processes.
pub(super) fn online(admins: &[&str]) -> Result<usize> {
    let mut sum = 0.0;
    for admin in admins {
        sum += value(&get(admin, "/metrics")?, "warren_instances{state=\"online\"}")?;
    }
    Ok(sum as usize)
}

/// The value of a metric; 0 of one that was never counted.
fn value(metrics: &str, name: &str) -> Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.unwrap_or("0").trim().parse()?)
}

/// One request without a key; the whole answer.
pub(super) fn get(url: &str, path: &str) -> Result<String> {
    let authority = url.trim_start_matches("http://");
    let address: SocketAddr = authority.parse().with_context(|| format!("{authority} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
