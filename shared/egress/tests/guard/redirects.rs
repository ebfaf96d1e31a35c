//! Where servers send on to.

use crate::{
    guard,
    names::Names,
    policy, read,
    server::{Reply, Server, header, ok, raw, redirect},
};
use bytes::Bytes;
use std::sync::Arc;
use warren_egress::{FetchError, Limits, Policy, Refused};

fn names() -> Arc<Names> {
    Names::new(&[
        ("cdn.example", &[&["127.0.0.1"]]),
        ("other.example", &[&["127.0.0.1"]]),
        ("inner.example", &[&["127.0.0.2"]]),
    ])
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn three_are_followed_relative_ones_and_other_hosts_too() {
    let server = Server::start(|request| {
        let port = header(request, "host").unwrap().rsplit(':').next().unwrap();
        match path(request) {
            "/a/start?token=t" => redirect("next"),
            "/a/next" => redirect(&format!("http://other.example:{port}/third")),
            "/third" => redirect(&format!("//cdn.example:{port}/file")),
            _ => ok("file"),
        }
    })
    .await;
    let guard = guard(policy(server.address()), &names());
    let fetched = guard.fetch(&server.url("cdn.example", "/a/start?token=t"), Limits::default()).await.unwrap();
    assert_eq!(read(fetched).await, (b"file".to_vec(), Ok(())));
    let requests = server.requests();
    let paths: Vec<_> = requests.iter().map(|request| path(request)).collect();
    assert_eq!(paths, ["/a/start?token=t", "/a/next", "/third", "/file"]);
    assert!(header(&requests[2], "host").unwrap().starts_with("other.example:"));
    assert!(requests.iter().all(|request| header(request, "referer").is_none()), "a link may carry a token");
}

#[tokio::test]
async fn each_status_of_redirection_leads_to_the_file() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(move |request| match path(request) {
            "/file" => ok("file"),
            _ => raw(format!("HTTP/1.1 {status} Moved\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n")),
        })
        .await;
        let guard = guard(policy(server.address()), &names());
        let fetched = guard.fetch(&server.url("cdn.example", "/"), Limits::default()).await.unwrap();
        assert_eq!(read(fetched).await, (b"file".to_vec(), Ok(())), "{status}");
    }
}

/// Not a redirect: a status that says so without a place, or a place without the status.
#[tokio::test]
async fn a_redirect_without_a_location_is_a_status() {
    for (status, head) in [(302, "302 Found"), (304, "304 Not Modified"), (300, "300 Multiple Choices\r\nLocation: /a")] {
        let server = Server::start(move |_| raw(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n"))).await;
        let guard = guard(policy(server.address()), &names());
        let failed = guard.fetch(&server.url("cdn.example", "/"), Limits::default()).await.unwrap_err();
        assert_eq!((failed, failed.is_passing()), (FetchError::Status(status), false));
        assert_eq!(server.connections().await, 1);
    }
}

#[tokio::test]
async fn bad_input_50_a_redirect_to_what_is_not_public() {
    let targets: [(&'static str, Refused); 14] = [
        ("http://10.0.0.1/", Refused::Address),
        ("http://127.0.0.2:PORT/", Refused::Address),
        ("//127.0.0.2:PORT/", Refused::Address),
        ("http://2130706434:PORT/", Refused::Address),
        ("http://[::ffff:127.0.0.2]:PORT/", Refused::Address),
        ("http://169.254.169.254/latest/meta-data/", Refused::Address),
        ("http://inner.example:PORT/", Refused::Address),
        ("http://localhost:PORT/", Refused::InternalName),
        ("http://inner.example:22/", Refused::Port),
        ("http://user:word@127.0.0.2:PORT/", Refused::Credentials),
        ("file:///etc/passwd", Refused::Scheme),
        ("http://127.0.0.2:PORT/%0d%0aX:%20y", Refused::Characters),
        ("/\u{e4}", Refused::Characters),
        ("http://", Refused::Malformed),
    ];
    for (target, refused) in targets {
        let sending = move |_: &str, port: u16| redirect(&target.replace("PORT", &port.to_string()));
        let (server, private) = Server::pair(sending, |_| ok("secret")).await;
        let guard = guard(policy(server.address()), &names());
        let failed = guard.fetch(&server.url("cdn.example", "/"), Limits::default()).await.unwrap_err();
        assert_eq!((failed, failed.is_passing()), (FetchError::RedirectBlocked(refused), false), "{target}");
        assert!(!failed.to_string().contains("127.0.0.2"), "{failed}");

        // A webhook follows none: the redirect is the answer.
        let posted = guard.post::<&str, &str>(&server.url("cdn.example", "/"), &[], Bytes::new(), Limits::default()).await;
        assert_eq!(posted.unwrap().status, 302, "{target}");
        assert_eq!((server.connections().await, private.connections().await), (2, 0), "{target}");
    }
}

#[tokio::test]
async fn a_post_does_not_follow_to_what_is_allowed_either() {
    let server = Server::start(|_| redirect("/next")).await;
    let guard = guard(policy(server.address()), &names());
    let posted = guard.post::<&str, &str>(&server.url("cdn.example", "/"), &[], Bytes::new(), Limits::default()).await;
    assert_eq!(posted.unwrap().status, 302);
    assert_eq!(server.connections().await, 1);
}

#[tokio::test]
async fn bad_input_51_a_loop_and_twenty_hops() {
    let looping: fn(&str) -> Reply = |_| redirect("/");
    let walking: fn(&str) -> Reply = |request| {
        let hop: u32 = path(request).trim_start_matches('/').parse().unwrap_or(0);
        if hop == 20 { ok("arrived") } else { redirect(&format!("/{}", hop + 1)) }
    };
    for reply in [looping, walking] {
        let server = Server::start(reply).await;
        let guard = guard(policy(server.address()), &names());
        let failed = guard.fetch(&server.url("cdn.example", "/"), Limits::default()).await.unwrap_err();
        assert_eq!((failed, failed.is_passing()), (FetchError::TooManyRedirects, false));
        assert_eq!(server.connections().await, 4, "the first request and three redirects");
    }
}

#[tokio::test]
async fn a_policy_may_follow_none() {
    let server = Server::start(|_| redirect("/next")).await;
    let guard = guard(Policy { max_redirects: 0, ..policy(server.address()) }, &names());
    let failed = guard.fetch(&server.url("cdn.example", "/"), Limits::default()).await.unwrap_err();
    assert_eq!(failed, FetchError::TooManyRedirects);
    assert_eq!(server.connections().await, 1);
}
