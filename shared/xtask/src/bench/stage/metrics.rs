//! What processes count.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For one answer.
const LIMIT: Duration = Duration::from_secs(5);

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
