//! Posts, as webhooks need them.

use crate::{
    guard,
    names::Names,
    policy,
    server::{Reply, Server, header, ok, raw},
    within,
};
use bytes::Bytes;
use std::time::{Duration, Instant};
use warren_egress::{Guard, Limits, PostError, Posted, Refused, RetryAfter, check_headers};

async fn post(server: &Server, headers: &[(&str, &str)], limits: Limits) -> Result<Posted, PostError> {
    ours(server).post(&server.url("hooks.example", "/hook?a=b"), headers, Bytes::from_static(b"{\"a\":1}"), limits).await
}

fn ours(server: &Server) -> Guard {
    guard(policy(server.address()), &Names::new(&[("hooks.example", &[&["127.0.0.1"]])]))
}

#[tokio::test]
async fn the_body_and_the_headers_arrive() {
    let server = Server::start(|_| ok("thanks")).await;
    let headers = [("webhook-id", "evt_1"), ("X-Token", "abc")];
    let posted = post(&server, &headers, Limits::default()).await;
    assert_eq!(posted, Ok(Posted { status: 200, retry_after: None }));
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    let host = format!("hooks.example:{}", server.port());
    let expected = [
        ("host", host.as_str()),
        ("content-type", "application/json"),
        ("webhook-id", "evt_1"),
        ("x-token", "abc"),
        ("content-length", "7"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_content_type_of_the_caller_stands_alone() {
    let server = Server::start(|_| ok("thanks")).await;
    post(&server, &[("Content-Type", "text/plain")], Limits::default()).await.unwrap();
    let request = server.requests().remove(0).to_lowercase();
    assert_eq!((request.matches("content-type").count(), header(&request, "content-type")), (1, Some("text/plain")));
}

#[tokio::test]
async fn bad_input_54_headers_that_would_change_the_request() {
    let server = Server::start(|_| ok("thanks")).await;
    let reserved =
        [("Host", "10.0.0.1"), ("content-length", "0"), ("Transfer-Encoding", "chunked"), ("Connection", "close")];
    let broken = [("X-A", "b\r\nHost: c"), ("X-A", "b\nc"), ("X-A\r\nHost", "b"), ("X-A: b", "c"), ("", "b"), ("X-A", "\0")];
    let all = reserved
        .map(|header| (header, Refused::ReservedHeader))
        .into_iter()
        .chain(broken.map(|header| (header, Refused::HeaderCharacters)));
    for (header, refused) in all {
        assert_eq!(check_headers(&[header]), Err(refused), "{header:?}");
        let failed = post(&server, &[header], Limits::default()).await.unwrap_err();
        assert_eq!((failed, failed.code()), (PostError::HeaderNotAllowed(refused), "header_not_allowed"), "{header:?}");
    }
    assert_eq!(server.connections().await, 0);
}

#[tokio::test]
async fn each_status_is_an_answer_with_what_it_says_about_later() {
    let answers: [(&'static str, u16, Option<RetryAfter>); 6] = [
        ("204 No Content", 204, None),
        ("410 Gone", 410, None),
        ("429 Slow\r\nRetry-After: 3600", 429, Some(RetryAfter::After(Duration::from_hours(1)))),
        ("503 Away\r\nRetry-After: soon", 503, None),
        (
            "503 Away\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT",
            503,
            Some(RetryAfter::At("1994-11-06T08:49:37Z".parse().unwrap())),
        ),
        ("500 Wrong", 500, None),
    ];
    for (head, status, retry_after) in answers {
        let server = Server::start(move |_| raw(format!("HTTP/1.1 {head}\r\n\r\n"))).await;
        assert_eq!(post(&server, &[], Limits::default()).await, Ok(Posted { status, retry_after }));
    }
}

/// Bad input 65: the status stands, whatever follows it.
#[tokio::test]
async fn an_endless_a_silent_and_a_broken_answer_are_read_a_little_and_dropped() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    let endless = move |_: &str| Reply::Endless(head.into(), vec![b'x'; 65_536]);
    let silent = move |_: &str| Reply::Silence(head.into());
    let trickle = move |_: &str| Reply::Trickle(head.into(), Duration::from_millis(20));
    let broken = move |_: &str| raw(head);
    for reply in [
        Box::new(endless) as Box<dyn Fn(&str) -> Reply + Send + Sync>,
        Box::new(silent),
        Box::new(trickle),
        Box::new(broken),
    ] {
        let server = Server::start(reply).await;
        let begun = Instant::now();
        assert_eq!(post(&server, &[], Limits::default()).await, Ok(Posted { status: 200, retry_after: None }));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // 64 KiB, and what the system buffers without being asked.
        assert!(server.written() < 32_000_000, "{}", server.written());
    }
}

#[tokio::test]
async fn no_answer_in_time_and_no_answer_at_all() {
    let server = Server::start(|_| Reply::Silence(Vec::new())).await;
    let failed = post(&server, &[], within(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!((failed, failed.is_passing()), (PostError::TimedOut, true));
    let server = Server::start(|_| raw("")).await;
    let failed = post(&server, &[], Limits::default()).await.unwrap_err();
    assert_eq!((failed, failed.is_passing()), (PostError::Unreachable, true));
    // Not sent a second time by the client itself.
    assert_eq!(server.connections().await, 1);
}

/// Kept connections serve again, and are judged when they are made: a name that is bound anew does not move them.
#[tokio::test]
async fn kept_connections_stay_where_they_were_judged() {
    let (public, private) = Server::pair_keeping().await;
    let names = Names::new(&[("hooks.example", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let guard = guard(policy(public.address()), &names).keeping_connections(4, Duration::from_secs(60)).unwrap();
    let send = async || {
        let url = public.url("hooks.example", "/");
        guard.post::<&str, &str>(&url, &[], Bytes::from_static(b"{}"), Limits::default()).await
    };
    for _ in 0..5 {
        assert_eq!(send().await, Ok(Posted { status: 200, retry_after: None }));
    }
    assert_eq!((public.connections().await, public.requests().len()), (1, 5));
    // A new connection is judged anew.
    let unkept = self::guard(policy(public.address()), &names);
    unkept.post::<&str, &str>(&public.url("hooks.example", "/"), &[], Bytes::new(), Limits::default()).await.unwrap_err();
    assert_eq!(private.connections().await, 0);
}
