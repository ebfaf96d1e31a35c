//! The event log, read and streamed: filters, cursors, resuming.

use crate::{
    messages::online,
    support::{Gateway, PATIENCE, Tenant},
    worker::Worker,
};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};
use warren_domain::{EventType, InstanceState, Timestamp};
use warren_gateway::Options;
use warren_ports::{
    bus::{Bus as _, Ephemeral, Ring, Topic},
    ledger::Op,
};

/// A stream as a client has it.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

pub(crate) async fn open(gateway: &Gateway, query: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/v1/events/stream?{query}", gateway.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Socket(socket))
}

pub(crate) async fn listen(gateway: &Gateway, tenant: &Tenant, query: &str) -> Socket {
    open(gateway, query, &[("x-api-key", &tenant.key)]).await.unwrap()
}

/// What the server answered instead of upgrading.
#[track_caller]
pub(crate) fn refused(result: Result<Socket, Error>) -> (u16, Value) {
    match result {
        Err(Error::Http(response)) => {
            let body = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or(Value::Null);
            (response.status().as_u16(), body)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was upgraded"),
    }
}

impl Socket {
    /// The next text frame, whatever it is.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame").unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] != "cursor" {
                return frame;
            }
        }
    }

    pub(crate) async fn say(&mut self, what: Value) {
        self.0.send(Message::text(what.to_string())).await.unwrap();
    }

    /// How the server closes it.
    pub(crate) async fn closed(mut self) -> CloseFrame {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("it is closed") {
                Some(Ok(Message::Close(Some(frame)))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("no closing frame: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_log_is_read_in_stretches() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    for n in 0..5 {
        worker.receive(&format!("text {n}")).await;
    }
    let get = async |query: &str| gateway.get(&format!("/v1/events?{query}"), &tenant.key).await.is(200);
    let all = get("").await;
    let events = all["data"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| event["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(events[0]["type"], "pairing.succeeded");
    assert_eq!(events[2]["data"]["text"]["body"], "text 0");
    assert_eq!(events[2]["instance_id"], worker.instance.to_string());
    assert!(events[2]["id"].as_str().unwrap().starts_with("evt_") && events[2]["occurred_at"].is_string());
    assert_eq!(all["more"], false);
    let received = get("type=message.received&limit=2").await;
    assert_eq!((received["data"].as_array().unwrap().len(), &received["more"]), (2, &json!(true)));
    let rest = get(&format!("type=message.received&after={}", received["next_cursor"].as_str().unwrap())).await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 3);
    let by_event = get(&format!("after={}", events[4]["id"].as_str().unwrap())).await;
    assert_eq!(by_event["data"], json!([events[5], events[6]]));
    let by_cursor = get(&format!("after={}", events[4]["cursor"].as_str().unwrap())).await;
    assert_eq!(by_cursor["data"], by_event["data"]);
    assert_eq!(get("after=now").await["data"], json!([]));
    assert_eq!(get(&format!("after={}", all["next_cursor"].as_str().unwrap())).await["data"], json!([]));
    for query in ["after=garbage", "after=", "type=message.*", "limit=0", "after=evt_x"] {
        assert_eq!(gateway.get(&format!("/v1/events?{query}"), &tenant.key).await.status, 422, "{query}");
    }
    // Of another log, and never there.
    let foreign = "AQAAAAAAAAABAAAAAAAAAAA";
    let unknown = warren_domain::EventId::generate().to_string();
    for after in [foreign, &unknown] {
        let gone = gateway.get(&format!("/v1/events?after={after}"), &tenant.key).await;
        gone.is_problem(410, "cursor_expired");
        assert_eq!(get(&format!("after={}", gone.json()["oldest_cursor"].as_str().unwrap())).await["data"], all["data"]);
    }
    let other = gateway.tenant().await;
    assert_eq!(gateway.get("/v1/events", &other.key).await.is(200)["data"], json!([]));
    gateway
        .get(&format!("/v1/events?after={}", events[0]["id"].as_str().unwrap()), &other.key)
        .await
        .is_problem(410, "cursor_expired");
}

#[tokio::test]
async fn a_stream_begins_now_and_resumes_without_a_gap() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let mut socket = listen(&gateway, &tenant, "").await;
    assert_eq!(socket.frame().await["type"], "cursor");
    worker.receive("one").await;
    let one = socket.event().await;
    assert_eq!((&one["data"]["text"]["body"], &one["seq"]), (&json!("one"), &json!(3)));
    let logged = gateway.get("/v1/events?type=message.received", &tenant.key).await.is(200);
    assert_eq!(logged["data"], json!([one]), "the same event on the log and on the stream");
    drop(socket);

    worker.receive("two").await;
    // On another gateway.
    let second = gateway.beside(Options::default()).await;
    let mut socket = listen(&second, &tenant, &format!("after={}", one["cursor"].as_str().unwrap())).await;
    assert_eq!(socket.event().await["data"]["text"]["body"], "two");
    worker.receive("three").await;
    assert_eq!(socket.event().await["data"]["text"]["body"], "three");

    let mut whole = listen(&gateway, &tenant, "after=begin").await;
    for seq in 1..=5 {
        assert_eq!(whole.event().await["seq"], seq);
    }
    let mut by_event = listen(&gateway, &tenant, &format!("after={}", one["id"].as_str().unwrap())).await;
    assert_eq!(by_event.event().await["seq"], 4);
}

#[tokio::test]
async fn a_stream_is_filtered() {
    let gateway = Gateway::with(Options { cursor_ms: 200, ..Options::default() }).await;
    let (tenant, one, _) = online(&gateway).await;
    let instance = gateway.instance(&tenant).await;
    let two = Worker::own(&gateway, &tenant.id, &instance).await;
    two.pair("628222").await;
    let mut by_instance = listen(&gateway, &tenant, &format!("instance={instance}&after=begin")).await;
    let mut by_type = listen(&gateway, &tenant, "type=message.received&type=message.status").await;
    one.receive("for one").await;
    two.receive("for two").await;
    for kind in ["pairing.succeeded", "instance.state_changed", "message.received"] {
        let event = by_instance.event().await;
        assert_eq!((&event["type"], &event["instance_id"]), (&json!(kind), &json!(instance)));
    }
    assert_eq!(by_type.event().await["data"]["text"]["body"], "for one");
    assert_eq!(by_type.event().await["data"]["text"]["body"], "for two");
    // A filtered stream is told its cursor even when nothing passes, so that it can resume near the end.
    let head = gateway.get("/v1/events?after=now", &tenant.key).await.is(200)["next_cursor"].clone();
    loop {
        let frame = by_type.frame().await;
        assert_eq!(frame["type"], "cursor");
        if frame["cursor"] == head {
            break;
        }
    }
}

#[tokio::test]
async fn many_listeners_miss_nothing_under_load() {
    const EVENTS: usize = 3_000;
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let gateway = Arc::new(gateway);
    let writer = tokio::spawn({
        let worker = worker.clone();
        async move {
            for n in 0..EVENTS {
                worker.receive(&n.to_string()).await;
            }
        }
    });
    let mut readers = Vec::new();
    for n in 0..6 {
        let (gateway, tenant) = (Arc::clone(&gateway), tenant.clone());
        readers.push(tokio::spawn(async move {
            let mut socket = listen(&gateway, &tenant, "after=begin&type=message.received").await;
            let mut cut_at = 200 + n * 100;
            for expected in 0..EVENTS {
                let event = socket.event().await;
                assert_eq!(event["data"]["text"]["body"], expected.to_string(), "in order, each once");
                if expected == cut_at {
                    // Loses its connection now and then, and resumes.
                    cut_at += 700;
                    socket = listen(
                        &gateway,
                        &tenant,
                        &format!("type=message.received&after={}", event["cursor"].as_str().unwrap()),
                    )
                    .await;
                }
            }
        }));
    }
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(gateway.metrics.render().contains("warren_events_lag_seconds_count"));
}

#[tokio::test]
async fn ephemeral_events_have_no_place() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let mut socket = listen(&gateway, &tenant, "after=begin").await;
    assert_eq!(socket.event().await["seq"], 1);
    assert_eq!(socket.event().await["seq"], 2);
    let id: warren_domain::TenantId = tenant.id.parse().unwrap();
    let data = Map::from_iter([("qr".to_owned(), json!("2@abc"))]);
    let event = Ephemeral {
        kind: EventType::PairingQr,
        tenant: id,
        instance: worker.instance,
        occurred_at: Timestamp::default(),
        data,
    };
    let event = Arc::new(event);
    // The tail may still be starting: ephemeral events may be dropped.
    let heard = loop {
        gateway.bus.ring(Topic::Log(id), Ring::Ephemeral(Arc::clone(&event)));
        if let Ok(heard) = tokio::time::timeout(Duration::from_millis(100), socket.event()).await {
            break heard;
        }
    };
    assert_eq!((&heard["type"], &heard["data"]["qr"]), (&json!("pairing.qr"), &json!("2@abc")));
    assert!(heard.get("seq").is_none() && heard.get("cursor").is_none());
    assert_eq!(gateway.get("/v1/events?type=pairing.qr", &tenant.key).await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn a_lost_ring_costs_a_sweep_and_no_event() {
    let gateway = Gateway::with(Options { sweep_ms: 100, ..Options::default() }).await;
    let (tenant, worker, _) = online(&gateway).await;
    let mut socket = listen(&gateway, &tenant, "").await;
    for state in [InstanceState::Disconnected, InstanceState::Online] {
        worker.commit_silently(Op::SetState { state, reason: None, at: Timestamp::default() }).await;
        assert_eq!(socket.event().await["data"]["state"], state.as_str());
    }
}

#[tokio::test]
async fn row_11_foreign_instances_are_an_error_frame() {
    let gateway = Gateway::start().await;
    let (tenant, own, _) = online(&gateway).await;
    let (_, foreign, _) = online(&gateway).await;
    let mut socket = listen(&gateway, &tenant, &format!("instance={}", foreign.instance)).await;
    assert_eq!(socket.frame().await["type"], "cursor");
    assert_eq!(socket.frame().await["code"], 4404);
    foreign.receive("secret").await;
    own.receive("not asked for").await;
    for instance in [foreign.instance.to_string(), warren_domain::InstanceId::generate().to_string(), "garbage".to_owned()] {
        socket.say(json!({"subscribe": {"instances": [instance]}})).await;
        let error = socket.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(4404)));
    }
    socket.say(json!({"subscribe": {"instances": [own.instance]}})).await;
    let subscribed = socket.event().await;
    assert_eq!((&subscribed["type"], &subscribed["instances"]), (&json!("subscribed"), &json!([own.instance])));
    foreign.receive("secret").await;
    own.receive("mine").await;
    // Nothing is skipped: what the stream had not come to yet when the choice was made counts as coming after it.
    let mut heard = socket.event().await["data"]["text"]["body"].clone();
    if heard == "not asked for" {
        heard = socket.event().await["data"]["text"]["body"].clone();
    }
    assert_eq!(heard, "mine");
    for nonsense in [json!({"subscribe": {}}), json!({"unsubscribe": 1}), json!(7)] {
        socket.say(nonsense).await;
        assert_eq!(socket.event().await["code"], 4422);
    }
    socket.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(socket.event().await["code"], 4422);
    own.receive("still here").await;
    assert_eq!(socket.event().await["data"]["text"]["body"], "still here");
}

#[tokio::test]
async fn a_stop_closes_with_a_cursor_to_resume_from() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let mut socket = listen(&gateway, &tenant, "").await;
    worker.receive("before").await;
    let before = socket.event().await;
    let second = gateway.beside(Options::default()).await;
    gateway.lifecycle.begin_stop();
    let frame = socket.closed().await;
    assert_eq!(u16::from(frame.code), 1001);
    worker.receive("after").await;
    let mut resumed = listen(&second, &tenant, &format!("after={}", frame.reason)).await;
    assert_eq!(resumed.event().await["data"]["text"]["body"], "after");
    assert!(before["cursor"].is_string());
    assert!(gateway.lifecycle.stop(Duration::from_secs(5), std::future::pending()).await);
}
