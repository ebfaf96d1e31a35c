//! Which IP addresses may be connected to.
//!
//! An address is allowed if it is global unicast by IANA's special-purpose registries (RFC 6890 and its updates), or lies in
//! a network that the deployment allows. IPv6 addresses that carry an IPv4 address are decoded and judged by that one.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Blocked whatever the deployment allows: nothing that anybody means to call is there, and what is there gives away keys.
const NEVER_V4: [Ipv4Net; 7] = [
    v4(0, 0, 0, 0, 8),          // "this network"; 0.0.0.0 is the machine itself for many systems
    v4(169, 254, 0, 0, 16),     // link-local, with the metadata services of most clouds
    v4(100, 100, 100, 200, 32), // Alibaba Cloud's metadata service
    v4(168, 63, 129, 16, 32),   // Azure's host services, on an address that looks public
    v4(192, 0, 0, 192, 32),     // Oracle Cloud's older metadata service
    v4(224, 0, 0, 0, 4),        // multicast
    v4(255, 255, 255, 255, 32), // broadcast
];

/// As [`NEVER_V4`].
const NEVER_V6: [Ipv6Net; 5] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128),               // unspecified
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),           // link-local
    v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254], 128), // AWS's metadata service
    v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254], 128), // Google Cloud's metadata service
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),            // multicast
];

/// Not global unicast: IANA IPv4 Special-Purpose Address Registry.
const SPECIAL_V4: [Ipv4Net; 14] = [
    v4(0, 0, 0, 0, 8),       // "this network"
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared (CGNAT)
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relay anycast, deprecated
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 3),     // multicast, reserved, broadcast
];

/// All of IPv6's global unicast: what is outside (loopback, unique local, site-local, discard, segment routing, ...) is not.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Not global unicast inside of [`GLOBAL_V6`]: IANA IPv6 Special-Purpose Address Registry. Teredo and 6to4 are decoded before.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // IETF protocol assignments: benchmarking, ORCHID, ...
    v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), // the former 6bone, returned
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// Whether the address may be connected to: it is global unicast, or in one of `networks`, and not among the few that are
/// always blocked. An IPv6 address that carries IPv4 addresses is judged by these, all of them.
#[must_use]
pub fn allowed(address: IpAddr, networks: &[IpNet]) -> bool {
    match address {
        IpAddr::V4(address) => allowed_v4(address, networks),
        IpAddr::V6(address) => {
            let inner = embedded(address);
            if inner.is_empty() {
                allowed_v6(address, networks)
            } else {
                inner.into_iter().all(|inner| allowed_v4(inner, networks))
            }
        }
    }
}

fn allowed_v4(address: Ipv4Addr, networks: &[IpNet]) -> bool {
    let never = NEVER_V4.iter().any(|net| net.contains(&address));
    let global = !SPECIAL_V4.iter().any(|net| net.contains(&address));
    !never && (global || named(IpAddr::V4(address), networks))
}

fn allowed_v6(address: Ipv6Addr, networks: &[IpNet]) -> bool {
    let never = NEVER_V6.iter().any(|net| net.contains(&address));
    let global = GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address));
    !never && (global || named(IpAddr::V6(address), networks))
}

fn named(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|net| net.contains(&address))
}

/// The IPv4 addresses at which packets to this IPv6 address may arrive; none if it carries none.
pub(crate) fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    match [a, b, c, d, e, f] {
        // The unspecified address and loopback look like IPv4-compatible ones, and are none.
        [0, 0, 0, 0, 0, 0] if g == 0 && h <= 1 => Vec::new(),
        // IPv4-compatible (RFC 4291 2.5.5.1), IPv4-mapped (2.5.5.2), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] => vec![joined(g, h)],
        // NAT64, well-known prefix (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0] => vec![joined(g, h)],
        // NAT64, local use (RFC 8215).
        [0x64, 0xff9b, 1, ..] => nat64_local(address),
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![joined(b, c)],
        // Teredo (RFC 4380): the server, and the client with its bits turned.
        [0x2001, 0, ..] => vec![joined(c, d), joined(!g, !h)],
        _ => Vec::new(),
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// Where the IPv4 address is in a local NAT64 prefix depends on the prefix's length (RFC 6052 2.2), which only that network
/// knows: every reading counts. A reading of 0.x.y.z is the padding of another one, unless there is no other.
fn nat64_local(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [_, _, _, _, _, _, b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = address.octets();
    let readings = [
        Ipv4Addr::new(b6, b7, b9, b10),    // a prefix of 48 bits
        Ipv4Addr::new(b7, b9, b10, b11),   // 56
        Ipv4Addr::new(b9, b10, b11, b12),  // 64
        Ipv4Addr::new(b12, b13, b14, b15), // 96
    ];
    let meant: Vec<_> = readings.into_iter().filter(|reading| reading.octets().first() != Some(&0)).collect();
    if meant.is_empty() { vec![Ipv4Addr::UNSPECIFIED] } else { meant }
}

#[cfg(test)]
mod tests;
