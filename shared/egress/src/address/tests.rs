#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// First and last of each block, and the neighbours outside of it.
const PUBLIC: &[&str] = &[
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.1.255",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "168.63.129.15",
    "168.63.129.17",
    // IPv6, and IPv6 that carries a public IPv4 address.
    "2000::",
    "2001:200::",
    "2001:db7:ffff::",
    "2001:db9::",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2003::1",
    "3ffd:ffff::",
    "3fff:1000::",
    "::ffff:8.8.8.8",
    "::8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:808:8:800::",
    "2002:808:808::1",
    // Teredo: server 8.8.4.4, client 8.8.8.8 with its bits turned.
    "2001:0:808:404:0:0:f7f7:f7f7",
];

const CLOSED: &[&str] = &[
    // "This network", private, shared, loopback, link-local.
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    // Protocol assignments, documentation, relays, benchmarking, multicast, reserved, broadcast.
    "192.0.0.0",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.88.99.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "224.0.0.251",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
    // Metadata services elsewhere.
    "100.100.100.200",
    "168.63.129.16",
    // Unspecified, loopback, discard, segment routing, unique local, link-local, site-local, multicast.
    "::",
    "::1",
    "100::",
    "100::1",
    "5f00::1",
    "fc00::",
    "fd00::1",
    "fdff:ffff::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "feff::1",
    "ff00::",
    "ff02::1",
    "ffff::1",
    "1fff:ffff::1",
    "4000::",
    "8000::1",
    // Protocol assignments (benchmarking, ORCHID), documentation, 6bone.
    "2001:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "3ffe::1",
    "3fff::",
    "3fff:fff:ffff::1",
    // IPv4-mapped, -compatible, -translated.
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:100.100.100.200",
    "::10.0.0.1",
    "::127.0.0.1",
    "::169.254.169.254",
    "::2",
    "::ffff:0:10.0.0.1",
    "::ffff:0:127.0.0.1",
    // 6to4: 10.0.0.1, 127.0.0.1, 169.254.169.254, 192.168.1.1.
    "2002:a00:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:c0a8:101::1",
    // Teredo: a private client (10.0.0.1) behind a public server; a private server before a public client.
    "2001:0:808:404:0:0:f5ff:fffe",
    "2001:0:a00:1:0:0:f7f7:f7f7",
    // NAT64, well-known: 10.0.0.1, 127.0.0.1, 169.254.169.254.
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::",
    // NAT64, local use, 10.0.0.1 at the places of each prefix length, and nothing at all.
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:1:a:0:1::",
    "64:ff9b:1:0:a:0:100:0",
    "64:ff9b:1::a00:1",
    "64:ff9b:1::",
    // The same, with a public address at the place of another length.
    "64:ff9b:1:a00:0:100:808:808",
    "64:ff9b:1:a:0:1:808:808",
    "64:ff9b:1:0:a:0:108:808",
    // NAT64 of another kind: neither prefix.
    "64:ff9b:2::808:808",
    "64:ff9b:0:1::808:808",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn public_addresses_are_allowed() {
    for text in PUBLIC {
        assert!(allowed(ip(text), &[]), "{text}");
    }
}

#[test]
fn all_others_are_not() {
    for text in CLOSED {
        assert!(!allowed(ip(text), &[]), "{text}");
    }
}

#[test]
fn a_network_of_the_deployment_is_allowed_in_every_written_form_and_nothing_beside_it() {
    let networks = nets(&["10.1.0.0/16", "fd12::/16", "::1/128"]);
    for text in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::", "fd12::1", "::1", "8.8.8.8"] {
        assert!(allowed(ip(text), &networks), "{text}");
    }
    for text in ["10.2.0.1", "::ffff:10.2.0.1", "fd13::1", "127.0.0.1", "192.168.1.1"] {
        assert!(!allowed(ip(text), &networks), "{text}");
    }
}

#[test]
fn some_are_blocked_whatever_the_deployment_allows() {
    let everything = nets(&["0.0.0.0/0", "::/0"]);
    let never = [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "2002:a9fe:a9fe::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1::6464:64c8",
        "::ffff:100.100.100.200",
    ];
    for text in never {
        assert!(!allowed(ip(text), &everything), "{text}");
    }
    for text in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "8.8.8.8"] {
        assert!(allowed(ip(text), &everything), "{text}");
    }
}

/// The forms in which IPv6 carries the same IPv4 address.
fn carriers(inner: Ipv4Addr) -> [Ipv6Addr; 5] {
    let bits = u128::from(u32::from(inner));
    let high = |segments: u128| segments << 96;
    [
        Ipv6Addr::from((0xffff << 32) | bits),
        Ipv6Addr::from((0xffff << 48) | bits),
        Ipv6Addr::from(high(0x0064_ff9b) | bits),
        Ipv6Addr::from((0x2002 << 112) | (bits << 80) | 1),
        Ipv6Addr::from(high(0x2001_0000) | (0x0808_0808 << 64) | (!bits & 0xffff_ffff)),
    ]
}

#[test]
fn a_carried_address_is_judged_as_when_it_stands_alone() {
    let networks = nets(&["10.0.0.0/8"]);
    for seed in 0..64 {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..500 {
            let special = *SPECIAL_V4.choose(&mut random).unwrap();
            let offset: u32 = random.random();
            // Half of them in a special block, half anywhere.
            let bits =
                if random.random() { u32::from(special.addr()) | (offset & u32::from(special.hostmask())) } else { offset };
            let inner = Ipv4Addr::from(bits);
            let alone = allowed(IpAddr::V4(inner), &networks);
            for carrier in carriers(inner) {
                assert_eq!(allowed(IpAddr::V6(carrier), &networks), alone, "seed {seed}: {inner} as {carrier}");
            }
        }
    }
}

/// The standard library's own idea of each kind agrees: an independent second list.
#[test]
fn no_address_that_the_standard_library_calls_special_is_allowed() {
    for seed in 0..64 {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..1_000 {
            let address = Ipv4Addr::from(random.random::<u32>());
            let special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_unspecified();
            assert!(!(special && allowed(IpAddr::V4(address), &[])), "seed {seed}: {address}");
            let wide = Ipv6Addr::from(random.random::<u128>());
            let special =
                wide.is_multicast() || wide.is_unique_local() || wide.is_unicast_link_local() || wide.is_loopback();
            assert!(!(special && allowed(IpAddr::V6(wide), &[])), "seed {seed}: {wide}");
        }
    }
}
