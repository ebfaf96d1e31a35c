//! What a deployment allows.

use ipnet::IpNet;
use std::time::Duration;

/// What may be asked for, and how much of it. The default is right for a deployment that speaks to the internet alone.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether `http://` is allowed besides `https://`. Off by default.
    pub plain_http: bool,
    /// The ports that may be connected to: 80, 443 and 8443 by default.
    pub ports: Vec<u16>,
    /// Networks that are allowed besides the public ones: an intranet's. None by default. Link-local, multicast and
    /// unspecified addresses and the metadata services of clouds stay blocked whatever is said here.
    pub networks: Vec<IpNet>,
    /// Internal names that are allowed in spite of their form, as `storage` or `files.corp.internal`: an intranet's. Their
    /// addresses are judged as any other, so they need their [`networks`](Self::networks) too. Compared exactly. None by
    /// default.
    pub internal_names: Vec<String>,
    /// Names and IP addresses under which this deployment itself is reached; they are refused, so that Warren never calls
    /// itself in a circle. Names are compared exactly; an address is refused too when a name resolves to it.
    pub own_hosts: Vec<String>,
    /// Authorities that are trusted besides the system's, as DER certificates: an intranet's. None by default.
    pub authorities: Vec<Vec<u8>>,
    /// How long a name look-up, a connection and its TLS handshake may take together. 10 s by default.
    pub connect_timeout: Duration,
    /// The longest a request may take from its start to its last byte, redirects included. 30 s by default. It is what cuts
    /// a server that sends a byte a second. More than a day counts as a day.
    pub total_timeout: Duration,
    /// How many redirects a fetch follows. 3 by default; a post follows none whatever is said here.
    pub max_redirects: usize,
    /// The most that is read of an answer, bytes. 100 MiB by default, the largest file a message may carry.
    pub max_bytes: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            plain_http: false,
            ports: vec![80, 443, 8443],
            networks: Vec::new(),
            internal_names: Vec::new(),
            own_hosts: Vec::new(),
            authorities: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            max_redirects: 3,
            max_bytes: 100 * 1024 * 1024,
        }
    }
}

/// What one request may take. A limit above the policy's own counts as the policy's.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most that is read of the answer's body, bytes.
    pub bytes: u64,
    /// The longest that the request may take, redirects and body included.
    pub total: Duration,
}

impl Limits {
    /// As much as the policy allows.
    pub const UNLIMITED: Self = Self { bytes: u64::MAX, total: Duration::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self::UNLIMITED
    }
}
