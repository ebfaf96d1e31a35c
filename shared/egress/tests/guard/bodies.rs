//! What is read, and when reading ends.

use crate::{
    at_most, guard,
    names::Names,
    policy, read,
    server::{Reply, Server, ok, raw},
    within,
};
use futures::StreamExt as _;
use std::time::{Duration, Instant};
use warren_egress::{FetchError, Fetched, Limits, Policy};

/// Fetches what a server answers with `reply`.
async fn fetched(
    reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    limits: Limits,
) -> (Server, Result<Fetched, FetchError>) {
    let server = Server::start(reply).await;
    let guard = guard(policy(server.address()), &Names::new(&[("cdn.example", &[&["127.0.0.1"]])]));
    let fetched = guard.fetch(&server.url("cdn.example", "/file"), limits).await;
    (server, fetched)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n";

fn head(rest: &str) -> Vec<u8> {
    format!("{HEAD}{rest}\r\n").into()
}

#[tokio::test]
async fn a_file_is_got_however_its_end_is_told() {
    let bodies = [
        (head("Content-Length: 4\r\n"), "body", Some(4)),
        (head("Transfer-Encoding: chunked\r\n"), "1\r\nb\r\n3\r\nody\r\n0\r\n\r\n", None),
        (head("Connection: close\r\n"), "body", None),
        (head("Content-Length: 4\r\n"), "body and what was not announced", Some(4)),
    ];
    for (head, body, length) in bodies {
        let (_server, fetched) = fetched(move |_| raw([&head, body.as_bytes()].concat()), Limits::default()).await;
        let fetched = fetched.unwrap();
        assert_eq!((fetched.declared_length, fetched.content_type.as_deref()), (length, Some("image/png")));
        assert_eq!(read(fetched).await, (b"body".to_vec(), Ok(())));
    }
    let (_server, fetched) = fetched(|_| raw("HTTP/1.1 204 No Content\r\n\r\n"), Limits::default()).await;
    let fetched = fetched.unwrap();
    assert_eq!((fetched.status, fetched.content_type.as_deref()), (204, None));
    assert_eq!(read(fetched).await, (Vec::new(), Ok(())));
}

#[tokio::test]
async fn other_statuses_are_errors_and_some_pass() {
    for (status, passing) in [(404, false), (410, false), (403, false), (408, true), (429, true), (500, true), (503, true)] {
        let reply = move |_: &str| raw(format!("HTTP/1.1 {status} Status\r\nContent-Length: 4\r\n\r\nbody"));
        let (_server, fetched) = fetched(reply, Limits::default()).await;
        let failed = fetched.unwrap_err();
        assert_eq!((failed, failed.is_passing(), failed.code()), (FetchError::Status(status), passing, "status"));
    }
}

#[tokio::test]
async fn what_is_no_http_is_unreachable() {
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let (_server, fetched) = fetched(move |_| raw(answer), Limits::default()).await;
        assert_eq!(fetched.unwrap_err(), FetchError::Unreachable, "{answer}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Header: y\r\n".repeat(10_000));
    let (_server, fetched) = fetched(move |_| raw(many.clone()), Limits::default()).await;
    assert_eq!(fetched.unwrap_err(), FetchError::Unreachable);
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_is_got_and_one_byte_more_is_not() {
    let chunked = |_: &str| raw([head("Transfer-Encoding: chunked\r\n"), b"4\r\nbody\r\n0\r\n\r\n".to_vec()].concat());
    for limit in [4, 5] {
        assert_eq!(read(fetched(|_| ok("body"), at_most(limit)).await.1.unwrap()).await, (b"body".to_vec(), Ok(())));
        assert_eq!(read(fetched(chunked, at_most(limit)).await.1.unwrap()).await, (b"body".to_vec(), Ok(())));
    }
    // Announced: not a byte is read.
    assert_eq!(fetched(|_| ok("body"), at_most(3)).await.1.unwrap_err(), FetchError::TooLarge);
    let (got, ended) = read(fetched(chunked, at_most(3)).await.1.unwrap()).await;
    assert_eq!((got.len(), ended), (0, Err(FetchError::TooLarge)));
}

#[tokio::test]
async fn bad_input_55_an_endless_stream_is_cut_at_the_cap() {
    let endless = |_: &str| {
        Reply::Endless(
            head("Transfer-Encoding: chunked\r\n"),
            [b"400\r\n".to_vec(), vec![b'x'; 1_024], b"\r\n".to_vec()].concat(),
        )
    };
    let unannounced = |_: &str| Reply::Endless(head("Connection: close\r\n"), vec![b'x'; 1_024]);
    let limit = 1_000_000;
    let (_server, first) = fetched(endless, at_most(limit)).await;
    let (_other, second) = fetched(unannounced, at_most(limit)).await;
    for fetched in [first, second] {
        let (got, ended) = read(fetched.unwrap()).await;
        assert_eq!(ended, Err(FetchError::TooLarge));
        assert!(got.len() as u64 <= limit, "{}", got.len());
    }
}

#[tokio::test]
async fn the_policys_cap_holds_whatever_a_request_asks_for() {
    let server = Server::start(|_| ok("body")).await;
    let policy = Policy { max_bytes: 3, ..policy(server.address()) };
    let guard = guard(policy, &Names::new(&[("cdn.example", &[&["127.0.0.1"]])]));
    let failed = guard.fetch(&server.url("cdn.example", "/"), at_most(1_000)).await.unwrap_err();
    assert_eq!(failed, FetchError::TooLarge);
}

#[tokio::test]
async fn bad_input_55_a_trickle_is_cut_at_the_deadline() {
    let trickle = |_: &str| Reply::Trickle(head("Content-Length: 1000000\r\n"), Duration::from_millis(20));
    let begun = Instant::now();
    let (_server, fetched) = fetched(trickle, within(Duration::from_secs(1))).await;
    let (got, ended) = read(fetched.unwrap()).await;
    assert_eq!(ended, Err(FetchError::TimedOut));
    assert!(!got.is_empty() && got.len() < 1_000, "{}", got.len());
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// A server that always has the next bytes ready is cut by the time as well, not by the cap alone.
#[tokio::test]
async fn bad_input_55_an_endless_stream_is_cut_at_the_deadline_too() {
    let endless = |_: &str| Reply::Endless(head("Connection: close\r\n"), vec![b'x'; 16]);
    let begun = Instant::now();
    let (_server, fetched) = fetched(endless, within(Duration::from_secs(1))).await;
    let (got, ended) = read(fetched.unwrap()).await;
    assert_eq!(ended, Err(FetchError::TimedOut), "after {} bytes", got.len());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_says_nothing_or_half_a_head_is_cut_at_the_deadline() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let (_server, fetched) = fetched(move |_| Reply::Silence(said.into()), within(Duration::from_millis(200))).await;
        let failed = fetched.unwrap_err();
        assert_eq!((failed, failed.is_passing()), (FetchError::TimedOut, true), "{said}");
    }
}

#[tokio::test]
async fn a_body_that_pauses_for_ever_is_cut_at_the_deadline() {
    let (_server, fetched) =
        fetched(|_| Reply::Silence(head("Content-Length: 9\r\n")), within(Duration::from_secs(1))).await;
    assert_eq!(read(fetched.unwrap()).await, (Vec::new(), Err(FetchError::TimedOut)));
}

/// What is not read in time is not given out late: a request holds its connection no longer than it may.
#[tokio::test]
async fn the_readers_own_slowness_counts() {
    let (_server, fetched) = fetched(|_| ok("body"), within(Duration::from_secs(1))).await;
    let mut fetched = fetched.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fetched.body.next().await, Some(Err(FetchError::TimedOut)));
    assert_eq!(fetched.body.next().await, None);
}

#[tokio::test]
async fn bad_input_55_a_body_shorter_than_announced_is_incomplete() {
    let short = |_: &str| raw([head("Content-Length: 100\r\n"), b"ten bytes.".to_vec()].concat());
    let cut = |_: &str| raw([head("Transfer-Encoding: chunked\r\n"), b"a\r\nten bytes.\r\n".to_vec()].concat());
    let garbled = |_: &str| raw([head("Transfer-Encoding: chunked\r\n"), b"a\r\nten bytes.\r\nzz\r\n".to_vec()].concat());
    for reply in [short as fn(&str) -> Reply, cut, garbled] {
        let (_server, fetched) = fetched(reply, Limits::default()).await;
        let (got, ended) = read(fetched.unwrap()).await;
        assert_eq!((got.as_slice(), ended), (b"ten bytes.".as_slice(), Err(FetchError::Incomplete)));
    }
}

/// Nothing is unpacked: what looks small stays small.
#[tokio::test]
async fn a_compressed_answer_is_passed_on_as_it_came() {
    let packed = b"\x1f\x8b\x08\0\0\0\0\0";
    let reply = |_: &str| raw([head("Content-Encoding: gzip\r\nContent-Length: 8\r\n"), packed.to_vec()].concat());
    let (server, fetched) = fetched(reply, Limits::default()).await;
    assert_eq!(read(fetched.unwrap()).await, (packed.to_vec(), Ok(())));
    assert!(server.requests()[0].to_lowercase().contains("accept-encoding: identity\r\n"));
}

#[tokio::test]
async fn a_content_type_that_is_overlong_is_none() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(256));
    let (_server, fetched) = fetched(move |_| raw(long.clone()), Limits::default()).await;
    assert_eq!(fetched.unwrap().content_type, None);
}
