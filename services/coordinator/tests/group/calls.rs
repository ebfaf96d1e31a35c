//! Calls that are forged, late, or for somebody else: refused, counted, and nothing is changed.

use crate::support::{CLUSTER, Group, SECRET, until};
use serde_json::{Value, json};
use std::time::Duration;
use warren_domain::{ShardCount, shard::SHARD_HASH};
use warren_ports::{
    lease::Incarnation,
    placement::{Placement as _, Report},
};
use warren_raft::{
    Attachment, Caller, ClientOptions, Credential, Failure, RaftPlacement, Request,
    credential::{
        CLUSTER_HEADER, DIGEST_HEADER, PROTOCOL_HEADER, SENDER_HEADER, SIGNATURE_HEADER, Signed, TARGET_HEADER, digest,
    },
    wire::{ATTACH, Attach, Code, LEAVE, LONGEST_CALL, Leave, Line, Notice, REPORT, Refusal, STATUS},
};

const SOON: Duration = Duration::from_secs(10);
const VOTE: &str = "/raft/v1/vote";

/// Asks for votes in a term far ahead.
fn candidacy(node: u64) -> Value {
    let vote = json!({"leader_id": {"term": 99, "node_id": node}, "committed": false});
    json!({"vote": vote, "last_log_id": {"leader_id": {"term": 98, "node_id": node}, "index": 9_999}})
}

fn refused(answer: Result<Value, Failure>) -> Code {
    match answer {
        Err(Failure::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_calls_change_nothing_and_are_counted() {
    let group = Group::start(3).await;
    let (leader, follower) = (group.leader().await, group.follower().await);
    let (term, applied) = (group.status().await.term, group.status().await.applied);
    let address = group.address(follower);
    let own = Caller::new(Credential::new(CLUSTER, SECRET));
    let request = |sender, target| Request { address: &address, path: VOTE, sender, target };
    let post =
        async |caller: &Caller, request: Request<'_>, said: Value| refused(caller.post::<Value>(request, &said, SOON).await);

    let wrong = Caller::new(Credential::new(CLUSTER, "another secret of thirty-two chars"));
    assert_eq!(post(&wrong, request(leader, follower), candidacy(leader)).await, Code::WrongSecret);
    let foreign = Caller::new(Credential::new("another", SECRET));
    assert_eq!(post(&foreign, request(leader, follower), candidacy(leader)).await, Code::OtherCluster);
    for (sender, candidate) in [(9, 9), (leader, 9), (9, leader), (0, leader), (follower, follower), (leader, follower)] {
        let code = post(&own, request(sender, follower), candidacy(candidate)).await;
        assert_eq!(code, Code::NotAMember, "{sender} for {candidate}");
    }
    assert_eq!(post(&own, request(leader, leader), candidacy(leader)).await, Code::WrongTarget);
    assert_eq!(post(&own, request(leader, follower), json!({"vote": 1})).await, Code::Malformed);
    let nowhere = Request { path: "/raft/v1/elsewhere", ..request(leader, follower) };
    assert_eq!(post(&own, nowhere, json!({})).await, Code::NotFound);

    assert_eq!(group.metric(follower, "refused_calls_total"), 11.0);
    let status = group.status().await;
    assert_eq!((status.term, status.leader, status.applied), (term, Some(leader), applied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_signed_whole_and_in_this_version() {
    let group = Group::start(1).await;
    let url = |path: &str| format!("http://{}{path}", group.address(1));
    let body = serde_json::to_vec(&Leave { worker: "a".into(), incarnation: Incarnation(1) }).unwrap();
    let of_body = digest(&body);
    let signed = Signed { method: "POST", path: LEAVE, sender: 0, target: 1, digest: &of_body };
    let signature = Credential::new(CLUSTER, SECRET).sign(signed);
    let client = warren_testkit_client();
    let call_in = |version: &str, path: &str| {
        let call = client.post(url(path)).header(PROTOCOL_HEADER, version).header(CLUSTER_HEADER, CLUSTER);
        let call = call.header(SENDER_HEADER, "0").header(TARGET_HEADER, "1");
        call.header(DIGEST_HEADER, &of_body).header(SIGNATURE_HEADER, &signature)
    };
    let call = |path: &str| call_in("1", path);
    let code = async |call: reqwest::RequestBuilder| {
        let answer = call.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Refusal>().await.unwrap().code)
    };
    assert_eq!(call(LEAVE).body(body.clone()).send().await.unwrap().status(), 200);
    let before = group.status().await;
    assert_eq!(code(call(LEAVE).body("{}")).await, (401, Code::WrongSecret));
    assert_eq!(code(call(REPORT).body(body.clone())).await, (401, Code::WrongSecret));
    assert_eq!(code(call(LEAVE).body(vec![b' '; 4 * LONGEST_CALL + 1])).await, (413, Code::TooLarge));
    let bare = client.post(url(LEAVE));
    assert_eq!(code(bare.body(body.clone())).await, (409, Code::UnknownProtocol));
    // Right in everything else.
    for version in ["2", "0", "", "one"] {
        assert_eq!(code(call_in(version, LEAVE).body(body.clone())).await, (409, Code::UnknownProtocol), "{version}");
    }
    let unsigned = client.post(url(LEAVE)).header(PROTOCOL_HEADER, "1");
    assert_eq!(code(unsigned.body(body)).await, (401, Code::WrongSecret));
    assert_eq!(code(client.get(url(STATUS)).header(PROTOCOL_HEADER, "1")).await, (401, Code::WrongSecret));

    let refused = |reason: &str| group.metric(1, &format!("refused_calls_total{{reason=\"{reason}\"}}"));
    let counted = [refused("wrong_secret"), refused("too_large"), refused("unknown_protocol")];
    assert_eq!((counted, group.metric(1, "refused_calls_total")), ([4.0, 1.0, 5.0], 10.0));
    let after = group.status().await;
    assert_eq!((after.term, after.leader, after.applied), (before.term, before.leader, before.applied));
}

/// A client without TLS.
fn warren_testkit_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn attach(group: &Group, worker: &str) -> Attach {
    Attach {
        worker: worker.to_owned(),
        incarnation: Incarnation(5),
        weight: 1,
        shard_count: group.shard_count(),
        hash: SHARD_HASH.to_owned(),
        draining: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_says_who_leads() {
    let mut group = Group::start(3).await;
    let (leader, follower) = (group.leader().await, group.follower().await);
    let caller = Caller::new(Credential::new(CLUSTER, SECRET));
    let address = group.address(follower);
    let request = Request { address: &address, path: ATTACH, sender: 0, target: follower };
    let answer = caller.open(request, &attach(&group, "a"), SOON).await;
    assert_eq!(answer.err(), Some(Failure::Refused(Refusal { code: Code::NotLeader, leader: Some(leader) })));
    for node in (1..=3).filter(|node| *node != follower) {
        group.kill(node).await;
    }
    until("it knows that nobody leads", async || {
        let answer = caller.open(request, &attach(&group, "a"), SOON).await;
        answer.err() == Some(Failure::Refused(Code::NoLeader.into()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused() {
    let group = Group::start(1).await;
    let caller = Caller::new(Credential::new(CLUSTER, SECRET));
    let address = group.address(1);
    let request = Request { address: &address, path: ATTACH, sender: 0, target: 1 };
    let other = Attach { shard_count: ShardCount::default(), ..attach(&group, "a") };
    assert_eq!(caller.open(request, &other, SOON).await.err(), Some(Failure::Refused(Code::OtherShards.into())));
    let other = Attach { hash: "crc32".to_owned(), ..attach(&group, "a") };
    assert_eq!(caller.open(request, &other, SOON).await.err(), Some(Failure::Refused(Code::OtherShards.into())));
    for name in [String::new(), "a".repeat(129)] {
        let nameless = attach(&group, &name);
        assert_eq!(caller.open(request, &nameless, SOON).await.err(), Some(Failure::Refused(Code::Malformed.into())));
    }
    let stranger = Notice { worker: "nobody".to_owned(), incarnation: 1, ..Notice::default() };
    let report = Request { path: REPORT, ..request };
    assert_eq!(refused(caller.post::<Value>(report, &stranger, SOON).await), Code::UnknownWorker);
    assert!(group.status().await.workers.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_refused_knows_why() {
    let group = Group::start(1).await;
    let with = |cluster: &str, secret: &str, count| ClientOptions {
        group: warren_raft::Group::new(cluster, secret, group.addresses()).unwrap(),
        shard_count: count,
        ..group.client("a")
    };
    for (options, code) in [
        (with(CLUSTER, "another secret of thirty-two chars", group.shard_count()), Code::WrongSecret),
        (with("another", SECRET, group.shard_count()), Code::OtherCluster),
        (with(CLUSTER, SECRET, ShardCount::default()), Code::OtherShards),
    ] {
        let placement = RaftPlacement::connect(options).unwrap();
        let attachment = placement.attachment();
        until("it knows", async || *attachment.borrow() == Attachment::Refused(code)).await;
        // Whatever it says, nobody hears it, and nothing waits for that.
        placement.report(Report::Draining).await;
        placement.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_news_hears_the_heartbeat_while_others_have() {
    use http_body_util::BodyExt as _;
    let group = Group::start(1).await;
    let (caller, address) = (Caller::new(Credential::new(CLUSTER, SECRET)), group.address(1));
    let request = Request { address: &address, path: ATTACH, sender: 0, target: 1 };
    let idle = Attach { draining: true, ..attach(&group, "idle") };
    let mut stream = caller.open(request, &idle, SOON).await.unwrap();
    let news = async {
        for weight in 2.. {
            let busy = Attach { weight, draining: true, ..attach(&group, "busy") };
            drop(caller.open(request, &busy, SOON).await.unwrap());
        }
    };
    let beats = async {
        for _ in 0..5 {
            let frame = tokio::time::timeout(Duration::from_secs(3), stream.frame()).await;
            frame.expect("it is silent").unwrap().unwrap();
        }
    };
    tokio::select! {
        () = news => {}
        () = beats => {}
    }
    assert!(group.status().await.applied > 20, "there was news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_lines_of_json_with_a_heartbeat() {
    use http_body_util::BodyExt as _;
    let group = Group::start(1).await;
    let caller = Caller::new(Credential::new(CLUSTER, SECRET));
    let address = group.address(1);
    let request = Request { address: &address, path: ATTACH, sender: 0, target: 1 };
    let mut stream = caller.open(request, &attach(&group, "a"), SOON).await.unwrap();
    let mut lines = Vec::new();
    while lines.len() < 4 {
        let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines.push(serde_json::from_slice::<Line>(line).unwrap());
        }
    }
    assert!(matches!(&lines[0], Line::Full { shards, heartbeat_ms: 250, .. } if shards.is_empty()), "{lines:?}");
    let change = lines.iter().find_map(|line| match line {
        Line::Change { assigned, withdrawn, .. } => Some((assigned.len(), withdrawn.len())),
        _ => None,
    });
    assert_eq!(change, Some((64, 0)), "{lines:?}");
    assert!(lines.contains(&Line::Alive));
}
