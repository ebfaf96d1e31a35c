//! Bad inputs that are refused by the URL alone: no name is looked up, no connection is made.

use crate::{
    guard,
    names::Names,
    policy,
    server::{Server, ok},
};
use bytes::Bytes;
use warren_egress::{FetchError, Guard, Limits, Policy, PostError, Refused};

/// Each of the URLs, with the port of a server that would answer, is refused by all three ways in, and nobody hears of it.
async fn refused(refused: Refused, urls: &[&str]) {
    let server = Server::at("0.0.0.0:0", |_| ok("secret")).await.unwrap();
    // The same on IPv6, if the machine has it.
    let wide = Server::at(&format!("[::1]:{}", server.port()), |_| ok("secret")).await.ok();
    let names = Names::none();
    let guard = guard(Policy { networks: Vec::new(), ..policy(server.address()) }, &names);
    for url in urls {
        let url = url.replace("PORT", &server.port().to_string());
        all_ways(&guard, &url, refused).await;
    }
    assert_eq!(server.connections().await, 0);
    if let Some(wide) = wide {
        assert_eq!(wide.connections().await, 0);
    }
    assert_eq!(names.asked(), Vec::<String>::new());
}

async fn all_ways(guard: &Guard, url: &str, refused: Refused) {
    assert_eq!(guard.check(url), Err(refused), "{url}");
    assert_eq!(refused.code(), "url_not_allowed");
    let fetched = guard.fetch(url, Limits::default()).await;
    assert_eq!(fetched.unwrap_err(), FetchError::UrlNotAllowed(refused), "{url}");
    let posted = guard.post::<&str, &str>(url, &[], Bytes::from_static(b"{}"), Limits::default()).await;
    assert_eq!(posted, Err(PostError::UrlNotAllowed(refused)), "{url}");
}

#[tokio::test]
async fn bad_input_43_a_metadata_service() {
    let urls = ["http://169.254.169.254:PORT/latest/meta-data/", "http://100.100.100.200:PORT/", "http://2852039166:PORT/"];
    refused(Refused::Address, &urls).await;
    refused(Refused::InternalName, &["http://metadata.google.internal:PORT/computeMetadata/v1/", "http://metadata:PORT/"])
        .await;
}

#[tokio::test]
async fn bad_input_44_a_metadata_service_in_ipv6() {
    let urls = ["http://[::ffff:169.254.169.254]:PORT/", "http://[::ffff:a9fe:a9fe]:PORT/", "http://[fd00:ec2::254]:PORT/"];
    refused(Refused::Address, &urls).await;
}

#[tokio::test]
async fn bad_input_46_the_machine_itself_in_every_written_form() {
    let addresses = [
        "http://127.0.0.1:PORT/",
        "http://127.0.0.1.:PORT/",
        "http://127.1:PORT/",
        "http://0x7f.1:PORT/",
        "http://0x7f000001:PORT/",
        "http://0177.0.0.01:PORT/",
        "http://2130706433:PORT/",
        "http://127.0.0.2:PORT/",
        "http://0.0.0.0:PORT/",
        "http://0:PORT/",
        "http://[::1]:PORT/",
        "http://[0:0:0:0:0:0:0:1]:PORT/",
        "http://[::]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://[::7f00:1]:PORT/",
        "http://①②⑦.⓪.⓪.①:PORT/",
        "http://127。0。0。1:PORT/",
        "http://%31%32%37.0.0.1:PORT/",
        "http:127.0.0.1:PORT/",
    ];
    refused(Refused::Address, &addresses).await;
    let names = [
        "http://localhost:PORT/",
        "http://LOCALHOST.:PORT/",
        "http://a.localhost:PORT/",
        "http://redis:PORT/",
        "http://redis.default.svc:PORT/",
        "http://api.default.svc.cluster.local:PORT/",
        "http://ⓛocalhost:PORT/",
    ];
    refused(Refused::InternalName, &names).await;
    // The documented one, with a port that nobody allows either: the host is judged first.
    refused(Refused::InternalName, &["http://localhost:6379/"]).await;
}

#[tokio::test]
async fn bad_input_47_addresses_that_are_not_public() {
    let urls = [
        "http://10.0.0.1:PORT/",
        "http://172.16.0.1:PORT/",
        "http://192.168.1.1:PORT/",
        "http://100.64.0.1:PORT/",
        "http://169.254.1.1:PORT/",
        "http://224.0.0.1:PORT/",
        "http://255.255.255.255:PORT/",
        "http://198.18.0.1:PORT/",
        "http://192.0.2.1:PORT/",
        "http://240.0.0.1:PORT/",
        "http://[fe80::1]:PORT/",
        "http://[fc00::1]:PORT/",
        "http://[fec0::1]:PORT/",
        "http://[ff02::1]:PORT/",
        "http://[2001:db8::1]:PORT/",
        "http://[64:ff9b::a00:1]:PORT/",
        "http://[64:ff9b:1::a00:1]:PORT/",
        "http://[2002:a00:1::]:PORT/",
        "http://[::10.0.0.1]:PORT/",
        "http://[2001:0:808:404::f5ff:fffe]:PORT/",
    ];
    refused(Refused::Address, &urls).await;
}

#[tokio::test]
async fn bad_input_52_other_schemes() {
    let urls = [
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/_x",
        "ftp://127.0.0.1:PORT/",
        "data:text/plain,x",
        "ws://127.0.0.1:PORT/",
        "dict://127.0.0.1:PORT/",
        "jar:http://127.0.0.1:PORT/!/",
        "javascript:alert(1)",
        "blob:http://127.0.0.1:PORT/x",
        "unix:/run/x.sock",
        "about:blank",
        "mailto:a@b.example",
    ];
    refused(Refused::Scheme, &urls).await;
}

#[tokio::test]
async fn bad_input_54_line_breaks_and_other_tricks_of_characters() {
    let urls = [
        "http://127.0.0.1:PORT/a\r\nHost: b",
        "http://127.0.0.1:PORT/a\nb",
        "http://127.0.0.1:PORT/a%0d%0aHost:%20b",
        "http://127.0.0.1:PORT/a?b=%0Ac",
        "http://127.0.0.1:PORT/a#%0D",
        "http://127.0.0.1%0d%0a:PORT/",
        "http://127.0.0.1:PORT\t/",
        "ht\ntp://127.0.0.1:PORT/",
        "http://127.0.0.1:PORT/\0",
        "http:\\\\127.0.0.1:PORT/",
        "http://cdn.example\\@127.0.0.1:PORT/",
        "http://127.0.0.1:PORT/\u{7f}",
        "\u{1}http://127.0.0.1:PORT/",
        "http://127.0.0.1:PORT/\u{85}",
    ];
    refused(Refused::Characters, &urls).await;
    refused(Refused::Credentials, &["http://cdn.example@127.0.0.1:PORT/", "http://a:b@127.0.0.1:PORT/"]).await;
    refused(Refused::TooLong, &[&format!("http://127.0.0.1:PORT/{}", "a".repeat(3_000))]).await;
}

#[tokio::test]
async fn bad_input_62_our_own_address() {
    let server = Server::start(|_| ok("us")).await;
    let names = Names::new(&[("alias.example", &[&["127.0.0.1"]])]);
    let own_hosts = vec!["api.warren.example".to_owned(), "127.0.0.1".to_owned()];
    let guard = guard(Policy { own_hosts, ..policy(server.address()) }, &names);
    for host in ["api.warren.example", "API.Warren.Example.", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        all_ways(&guard, &server.url(host, "/v1/instances"), Refused::OwnHost).await;
    }
    assert_eq!(names.asked(), Vec::<String>::new());
    // Another name of the same address is known by the address.
    let fetched = guard.fetch(&server.url("alias.example", "/"), Limits::default()).await;
    assert_eq!(fetched.unwrap_err(), FetchError::UrlNotAllowed(Refused::OwnHost));
    assert_eq!(server.connections().await, 0);
}

#[tokio::test]
async fn a_port_that_is_not_listed_and_plain_http_without_leave() {
    let server = Server::start(|_| ok("secret")).await;
    let names = Names::none();
    let listed = guard(Policy { ports: vec![443], ..policy(server.address()) }, &names);
    all_ways(&listed, &server.url("cdn.example", "/"), Refused::Port).await;
    let secure = guard(Policy { plain_http: false, ..policy(server.address()) }, &names);
    all_ways(&secure, &server.url("cdn.example", "/"), Refused::PlainHttp).await;
    assert_eq!((server.connections().await, names.asked()), (0, Vec::new()));
}
