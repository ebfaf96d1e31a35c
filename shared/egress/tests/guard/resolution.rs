//! From names to connections: what is connected to is what was judged.

use crate::{
    guard,
    names::{Names, Silent},
    policy, read,
    server::{Reply, Server, header, ok},
    within,
};
use bytes::Bytes;
use std::{
    env,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use warren_egress::{FetchError, Guard, Limits, Policy, PostError, Refused};

const NOT_PUBLIC: FetchError = FetchError::UrlNotAllowed(Refused::Address);

#[tokio::test]
async fn the_connection_goes_to_the_address_of_the_name_and_the_name_stays_in_host() {
    let server = Server::start(|_| ok("hello")).await;
    let names = Names::new(&[("cdn.example", &[&["127.0.0.1"]])]);
    let guard = guard(policy(server.address()), &names);
    let fetched = guard.fetch(&server.url("CDN.example", "/a?b=c#part"), Limits::default()).await.unwrap();
    assert_eq!(
        (fetched.status, fetched.content_type.as_deref(), fetched.declared_length),
        (200, Some("text/plain"), Some(5))
    );
    assert_eq!(read(fetched).await, (b"hello".to_vec(), Ok(())));
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{requests:?}");
    assert_eq!(header(&requests[0], "host"), Some(format!("cdn.example:{}", server.port()).as_str()));
    assert_eq!(names.asked(), ["cdn.example"]);
}

/// A name server that answers the public address first and the private one ever after (TTL 0).
#[tokio::test]
async fn bad_input_48_a_name_that_is_rebound() {
    // The connection stays open after the answer: a client that kept it would use it again.
    let staying = |_: &str, _| Reply::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npublic".to_vec());
    let (public, private) = Server::pair(staying, |_| ok("secret")).await;
    let names = Names::new(&[("rebind.example", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let guard = guard(policy(public.address()), &names);
    let url = public.url("rebind.example", "/");

    // The one look-up is the connection's: what the name says meanwhile is not asked.
    assert!(guard.check(&url).is_ok());
    let fetched = guard.fetch(&url, Limits::default()).await.unwrap();
    assert_eq!(read(fetched).await, (b"public".to_vec(), Ok(())));
    assert_eq!((names.asked().len(), public.connections().await, private.connections().await), (1, 1, 0));

    // The next request is judged anew, and no connection is left over from the first.
    assert_eq!(guard.fetch(&url, Limits::default()).await.unwrap_err(), NOT_PUBLIC);
    let posted = guard.post::<&str, &str>(&url, &[], Bytes::new(), Limits::default()).await;
    assert_eq!(posted, Err(PostError::UrlNotAllowed(Refused::Address)));
    assert_eq!((names.asked().len(), public.connections().await, private.connections().await), (3, 1, 0));
}

#[tokio::test]
async fn one_private_address_among_public_ones_spoils_them_all() {
    let (public, private) = Server::pair(|_, _| ok("public"), |_| ok("secret")).await;
    let mixed: &[(&str, &[&[&str]])] = &[
        ("last.example", &[&["127.0.0.1", "8.8.8.8", "127.0.0.2"]]),
        ("first.example", &[&["127.0.0.2", "127.0.0.1"]]),
        ("wide.example", &[&["127.0.0.1", "::ffff:10.0.0.1"]]),
        ("metadata.example", &[&["169.254.169.254"]]),
        ("nat64.example", &[&["64:ff9b::a00:1"]]),
        // Behind so many good ones that it would never be tried.
        (
            "many.example",
            &[&[
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "10.0.0.1",
            ]],
        ),
    ];
    let names = Names::new(mixed);
    let guard = guard(policy(public.address()), &names);
    for (name, _) in mixed {
        let fetched = guard.fetch(&public.url(name, "/"), Limits::default()).await;
        assert_eq!(fetched.unwrap_err(), NOT_PUBLIC, "{name}");
    }
    assert_eq!((public.connections().await, private.connections().await), (0, 0));
}

/// `localhost` of the system, under a name that says nothing.
#[tokio::test]
async fn an_innocent_name_of_the_machine_itself_is_known_by_its_address() {
    let server = Server::start(|_| ok("secret")).await;
    let names = Names::new(&[("localtest.example", &[&["127.0.0.1"]]), ("six.example", &[&["::1"]])]);
    let guard = guard(Policy { networks: Vec::new(), ..policy(server.address()) }, &names);
    for name in ["localtest.example", "six.example"] {
        assert_eq!(guard.fetch(&server.url(name, "/"), Limits::default()).await.unwrap_err(), NOT_PUBLIC);
    }
    assert_eq!(server.connections().await, 0);
}

#[tokio::test]
async fn a_name_without_addresses_or_a_port_without_a_server_is_unreachable() {
    let server = Server::start(|_| ok("hello")).await;
    let address = server.address();
    let names = Names::new(&[("empty.example", &[&[]]), ("cdn.example", &[&["127.0.0.1"]])]);
    let guard = guard(policy(address), &names);
    for name in ["unknown.example", "empty.example"] {
        let failed = guard.fetch(&server.url(name, "/"), Limits::default()).await.unwrap_err();
        assert_eq!((failed, failed.is_passing()), (FetchError::Unreachable, true), "{name}");
    }
    let url = server.url("cdn.example", "/");
    assert_eq!(server.connections().await, 0);
    drop(server);
    // Its port closes when its task is gone.
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    assert_eq!(guard.fetch(&url, Limits::default()).await.unwrap_err(), FetchError::Unreachable);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_cut_by_the_time_to_connect() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = Policy { connect_timeout: Duration::from_millis(200), ..Policy::default() };
    let guard = Guard::with_resolver(policy, Arc::new(Silent)).unwrap();
    let begun = Instant::now();
    assert_eq!(guard.fetch("https://cdn.example/", Limits::default()).await.unwrap_err(), FetchError::TimedOut);
    let posted =
        guard.post::<&str, &str>("https://cdn.example/", &[], Bytes::new(), within(Duration::from_millis(50))).await;
    assert_eq!(posted, Err(PostError::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// The system's own resolver: a name that it knows without a network. The guard would not let it out, so ask the part.
#[tokio::test]
async fn the_systems_resolver_answers_all_addresses_and_says_when_there_is_none() {
    use warren_egress::{Resolver, SystemResolver};
    let resolver = SystemResolver::default();
    let found = resolver.resolve("localhost").await.unwrap();
    assert!(!found.is_empty() && found.iter().all(std::net::IpAddr::is_loopback), "{found:?}");
    assert!(resolver.resolve("no name at all").await.is_err());
}

const PROXY_TEST: &str = "resolution::a_proxy_of_the_environment_is_not_asked";
const CHILD: &str = "WARREN_EGRESS_TEST_SERVER";

/// Runs itself a second time, with proxy settings in the environment.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    if let Ok(url) = env::var(CHILD) {
        let names = Names::new(&[("cdn.example", &[&["127.0.0.1"]])]);
        let port = url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let guard = guard(policy(([127, 0, 0, 1], port).into()), &names);
        let fetched = guard.fetch(&url, Limits::default()).await.unwrap();
        assert_eq!(read(fetched).await, (b"direct".to_vec(), Ok(())));
        return;
    }
    let server = Server::start(|_| ok("direct")).await;
    let proxy = Server::start(|_| ok("through the proxy")).await;
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", PROXY_TEST, "--nocapture"]).env(CHILD, server.url("cdn.example", "/"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, format!("http://{}", proxy.address()));
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((server.connections().await, proxy.connections().await), (1, 0));
}
