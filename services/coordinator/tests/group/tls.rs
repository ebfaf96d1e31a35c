//! A group that speaks TLS: it does all that it does without, and speaks to nobody who does not.

use crate::support::{Authority, CLUSTER, Group, PATIENCE, SECRET, until};
use std::{path::Path, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout},
};
use warren_coordinator::{Options, Seat, Tls};
use warren_raft::{
    Attachment, Caller, ClientOptions, Credential, Failure, RaftPlacement, Request, Status, check,
    wire::{Code, Heard, LEAVE, Leave, STATUS},
};

const SOON: Duration = Duration::from_secs(20);

/// Asks one coordinator how the cluster is.
async fn asked(caller: &Caller, address: &str) -> Result<Status, Failure> {
    caller.get(Request { address, path: STATUS, sender: 0, target: 0 }, SOON).await
}

fn untrusted(answer: Result<Status, Failure>) -> String {
    match answer {
        Err(Failure::Untrusted(reason)) => reason,
        other => panic!("it was trusted: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_elects_a_leader_and_workers_join() {
    let mut group = Group::start_over_tls(3, Authority::new()).await;
    let (a, _b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let leader = group.leader().await;
    let well = check(&group.known()).await.unwrap();
    assert_eq!(well, format!("3 of 3 coordinators answer, and number {leader} leads"));

    group.kill(leader).await;
    let next = group.leader().await;
    assert_ne!(next, leader);
    until("it is attached to the next leader", async || a.attachment() == Attachment::Attached(next)).await;
    let _c = group.worker("c");
    group.balanced(&["a", "b", "c"]).await;
    group.start_node(leader).await;
    until("all follow", async || group.status().await.coordinators.iter().all(|one| one.behind == Some(0))).await;
    assert_eq!((group.total("deaths_total"), group.total("refused_calls_total{reason=\"plain_http\"}")), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_plain_http_is_refused_and_changes_nothing() {
    let group = Group::start_over_tls(3, Authority::new()).await;
    let a = group.worker("a");
    group.serves(&[("a", 64)]).await;
    let leader = group.leader().await;
    let before = group.status().await;

    // With the right secret, and about a worker that is there.
    let plain = Caller::new(Credential::new(CLUSTER, SECRET));
    let address = group.address(leader);
    let request = Request { address: &address, path: LEAVE, sender: 0, target: leader };
    let leave = Leave { worker: "a".to_owned(), incarnation: a.incarnation };
    let refused = plain.post::<Heard>(request, &leave, SOON).await.unwrap_err();
    assert_eq!(refused, Failure::Refused(Code::PlainHttp.into()));
    assert!(refused.to_string().contains("cluster.tls_authority"), "{refused}");
    assert_eq!(group.metric(leader, "refused_calls_total{reason=\"plain_http\"}"), 1.0);

    let without = warren_raft::Group::new(CLUSTER, SECRET, group.addresses()).unwrap();
    let line = check(&without).await.unwrap_err();
    assert!(line.starts_with("0 of 3 coordinators answer") && line.contains("cluster.tls_authority"), "{line}");
    let worker = RaftPlacement::connect(ClientOptions { group: without, ..group.client("b") }).unwrap();
    let attachment = worker.attachment();
    until("it knows why", async || *attachment.borrow() == Attachment::Refused(Code::PlainHttp)).await;

    let mut garbage = TcpStream::connect(&address).await.unwrap();
    garbage.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    until("it is counted", async || group.metric(leader, "handshakes_failed_total{reason=\"broken\"}") == 1.0).await;

    let after = group.status().await;
    assert_eq!((after.term, after.leader, after.applied), (before.term, before.leader, before.applied));
    assert_eq!(after.workers.iter().map(|one| one.worker.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(a.assigned().len(), 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_authority_of_the_settings_is_trusted() {
    let (own, other) = (Authority::new(), Authority::new());
    let (trust, foreign) = (own.trust(), other.trust());
    let mut group = Group::start_over_tls(3, own).await;
    let credential = Credential::new(CLUSTER, SECRET);
    let address = group.address(1);

    let caller = Caller::trusting(credential.clone(), Some(&trust));
    assert!(asked(&caller, &address).await.is_ok());
    // The certificate is for the address, and for no name of it.
    let reason = untrusted(asked(&caller, &address.replace("127.0.0.1", "localhost")).await);
    assert!(reason.contains("another host"), "{reason}");
    let stranger = Caller::trusting(credential.clone(), Some(&foreign));
    let reason = untrusted(asked(&stranger, &address).await);
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    let line = check(&group.known().trusting(foreign)).await.unwrap_err();
    assert!(line.starts_with("0 of 3 coordinators answer") && line.contains("cluster.tls_authority"), "{line}");

    // Whoever speaks no TLS is no coordinator to a caller that does.
    let plain = Group::start(1).await;
    let reason = untrusted(asked(&caller, &plain.address(1)).await);
    assert!(reason.contains("speaks no TLS"), "{reason}");
    assert!(plain.status().await.leader.is_some());

    // A coordinator with a certificate of another authority is none to the others.
    let (leader, follower) = (group.leader().await, group.follower().await);
    group.kill(follower).await;
    let seat = Seat { tls: Some(other.tls()), ..group.seat(follower) };
    group.start_seat(seat).await;
    until("neither speaks to the other", async || {
        (group.metric(follower, "peers_away"), group.metric(leader, "peers_away")) == (2.0, 1.0)
    })
    .await;
    assert!(group.leads() == Some(leader) && !group.is_ready(follower));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_end_keep_nobody_out_for_long() {
    const AT_ONCE: usize = 128;
    let authority = Authority::new();
    let caller = Caller::trusting(Credential::new(CLUSTER, SECRET), Some(&authority.trust()));
    let group = Group::start_over_tls(1, authority).await;
    let address = group.address(1);
    let mut idle = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"\x16").await.unwrap();
        idle.push(stream);
    }
    until("they are under way", async || group.metric(1, "handshakes") == AT_ONCE as f64).await;
    // One more waits until some of them are given up, and is served then.
    let begun = Instant::now();
    assert!(asked(&caller, &address).await.is_ok());
    assert!(group.metric(1, "handshakes_failed_total{reason=\"late\"}") >= 1.0, "after {:?}", begun.elapsed());
    until("all are given up", async || {
        group.metric(1, "handshakes_failed_total{reason=\"late\"}") == AT_ONCE as f64 && group.metric(1, "handshakes") == 0.0
    })
    .await;
    // Their connections are closed.
    for stream in &mut idle {
        let closed = timeout(PATIENCE, tokio::io::AsyncReadExt::read(stream, &mut [0; 64])).await.unwrap();
        assert!(!matches!(closed, Ok(1..)), "{closed:?}");
    }
}

#[test]
fn a_part_of_the_settings_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("127.0.0.1");
    let nothing = Path::new("");
    let read = |certificate: &Path, key: &Path, authority: &Path| {
        let options = Options { tls_certificate: certificate.to_owned(), tls_key: key.to_owned(), ..Options::default() };
        Tls::read(&options, authority)
    };
    assert!(read(nothing, nothing, nothing).unwrap().is_none());
    assert!(read(&certificate, &key, &authority.file()).unwrap().is_some());
    for (has_certificate, has_key, has_authority, missing) in [
        (true, false, false, "coordinator.tls_key"),
        (false, true, false, "coordinator.tls_certificate"),
        (false, false, true, "coordinator.tls_certificate"),
        (true, true, false, "cluster.tls_authority"),
        (true, false, true, "coordinator.tls_key"),
        (false, true, true, "coordinator.tls_certificate"),
    ] {
        let given = |is_given: bool, file: &Path| if is_given { file.to_owned() } else { nothing.to_owned() };
        let (certificate, key) = (given(has_certificate, &certificate), given(has_key, &key));
        let line = read(&certificate, &key, &given(has_authority, &authority.file())).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{missing}: is needed together with")) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_file_that_is_none_is_refused_by_its_setting() {
    let (authority, other, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.sign("127.0.0.1");
    let (other_certificate, _) = other.sign("127.0.0.1");
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (empty, large) = (file("empty", b""), file("large", &vec![b'-'; (1 << 20) + 1]));
    let damaged = file("damaged", b"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n");
    let away = folder.path().join("away");
    let right = authority.file();
    for (certificate, key, authority, begins, says) in [
        (&away, &key, &right, "coordinator.tls_certificate", "cannot be read"),
        (&empty, &key, &right, "coordinator.tls_certificate", "holds no certificate"),
        (&damaged, &key, &right, "coordinator.tls_certificate", ""),
        (&large, &key, &right, "coordinator.tls_certificate", "larger than"),
        (&certificate, &away, &right, "coordinator.tls_key", "cannot be read"),
        (&certificate, &certificate, &right, "coordinator.tls_key", "holds no key"),
        (&other_certificate, &key, &right, "coordinator.tls_key", "not the key"),
        (&certificate, &key, &away, "cluster.tls_authority", "cannot be read"),
        (&certificate, &key, &key, "cluster.tls_authority", "holds no certificate"),
        (&certificate, &key, &damaged, "cluster.tls_authority", ""),
    ] {
        let options = Options { tls_certificate: certificate.clone(), tls_key: key.clone(), ..Options::default() };
        let line = Tls::read(&options, authority).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{begins}: ")) && line.contains(says), "{line}");
        assert!(!line.contains('\n') && !line.contains("canary"), "{line}");
    }
}
