//! Connections that are no HTTP: to what was judged, or to nothing.

use crate::{
    guard,
    names::Names,
    policy,
    server::{Server, ok},
};
use std::time::Duration;
use warren_egress::{ConnectError, Refused};

const WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_connection_goes_to_the_address_that_was_judged() {
    let (public, private) = Server::pair(|_, _| ok("public"), |_| ok("secret")).await;
    let names = Names::new(&[
        ("proxy.example", &[&["127.0.0.1"], &["127.0.0.2"]]),
        ("mixed.example", &[&["127.0.0.1", "127.0.0.2"]]),
    ]);
    // The list of ports is for URLs: any port may be a proxy's.
    let guard = guard(warren_egress::Policy { ports: vec![443], ..policy(public.address()) }, &names);
    let stream = guard.connect("proxy.example", public.port(), WITHIN).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), public.address());
    // The name is bound anew.
    for host in ["proxy.example", "mixed.example", "127.0.0.2", "::ffff:127.0.0.2"] {
        let refused = guard.connect(host, public.port(), WITHIN).await;
        assert!(matches!(refused, Err(ConnectError::Refused(Refused::Address))), "{host}");
    }
    assert_eq!(private.connections().await, 0);
    assert!(matches!(guard.connect("nobody.example", 1, WITHIN).await, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn hosts_are_judged_by_their_shape() {
    let guard = guard(warren_egress::Policy::default(), &Names::none());
    for host in ["proxy.example.com", "8.8.8.8", "2001:4860:4860::8888", "PROXY.example.com."] {
        assert_eq!(guard.check_host(host), Ok(()), "{host}");
    }
    for (host, refused) in [
        ("localhost", Refused::InternalName),
        ("proxy", Refused::InternalName),
        ("metadata.google.internal", Refused::InternalName),
        ("10.0.0.1", Refused::Address),
        ("0x7f000001", Refused::Address),
        ("::1", Refused::Address),
        ("64:ff9b::a00:1", Refused::Address),
        ("", Refused::Malformed),
        ("a b", Refused::Malformed),
    ] {
        assert_eq!(guard.check_host(host), Err(refused), "{host}");
    }
}
