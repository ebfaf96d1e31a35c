//! The egress guard: every request that leaves Warren for an address a caller named (media by link, webhooks) goes through
//! a [`Guard`], so that nobody can make Warren talk to what only Warren can reach.
//!
//! # The model
//!
//! A URL is judged three times, by one [`Policy`]:
//!
//! 1. **By its shape**, before any packet, a name look-up included: [`Guard::check`] parses it as the WHATWG standard says,
//!    which leaves one written form of each IP address, and refuses schemes, ports, credentials, line breaks, addresses that
//!    are not public, and names that only mean something inside a network. Whoever takes a URL from a caller asks this
//!    first; a refusal is the caller's mistake and is answered as such.
//! 2. **By what its name resolves to**, directly before the connection. The name is looked up once a connection; *all* its
//!    addresses must be allowed ([`address_allowed`]), or there is none. The connection goes to the addresses that were
//!    judged, while the name stays in SNI and `Host`: there is no second look-up that a rebinding name server could answer
//!    otherwise. A connection serves one request, so every request is judged by the addresses of its own moment; only who posts
//!    to the same places again and again keeps connections ([`Guard::keeping_connections`]), to the addresses that were judged
//!    when they were made.
//! 3. **By where it is sent on to**: [`Guard::fetch`] follows a few redirects, each judged like the first URL, twice.
//!    [`Guard::post`] follows none.
//!
//! Everything is bounded: the URL, the name look-ups that run, the time to connect, the time in all, the bytes that are read.
//! Proxy settings of the environment are not read, nothing is retried, nothing is decompressed.
//!
//! No error repeats a URL: links carry access tokens.
//!
//! The rules are allow lists where that is possible (schemes, ports, IPv6's global unicast), and deny lists of IANA's
//! special-purpose registries where it is not. They are one line of defence: a deployment that can should also keep the
//! process from its internal networks by a network policy.

mod address;
mod connect;
mod fetch;
mod guard;
mod headers;
mod policy;
mod post;
mod refused;
mod resolver;
mod rules;

pub use address::allowed as address_allowed;
pub use connect::ConnectError;
pub use fetch::{Body, FetchError, Fetched};
pub use guard::{Guard, SetupError};
pub use headers::check as check_headers;
pub use ipnet::IpNet;
pub use policy::{Limits, Policy};
pub use post::{PostError, Posted, RetryAfter};
pub use refused::Refused;
pub use resolver::{Resolver, SystemResolver};
pub use rules::CheckedUrl;
