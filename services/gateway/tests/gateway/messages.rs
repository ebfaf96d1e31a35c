//! Sends, their status, and what came in.

use crate::{
    support::{Gateway, Tenant, until},
    worker::Worker,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use warren_domain::{InstanceState, MessageStatus, Timestamp};
use warren_gateway::Options;
use warren_ports::{
    bus::{Bus as _, Ring, Topic},
    ledger::{Messages as _, Op, ReceiptTarget},
};

pub(crate) async fn online(gateway: &Gateway) -> (Tenant, Worker, String) {
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let worker = Worker::own(gateway, &tenant.id, &instance).await;
    worker.pair("628111").await;
    let path = format!("/v1/instances/{instance}/messages");
    (tenant, worker, path)
}

pub(crate) fn text(body: &str) -> Value {
    json!({"to": "+628123456789", "type": "text", "text": {"body": body}})
}

#[tokio::test]
async fn a_send_is_committed_and_rung() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let shard = warren_domain::Shard::of(worker.instance, warren_domain::ShardCount::default());
    let mut rung = gateway.bus.listen(Topic::Outbound(shard)).await;
    let mut body = text("Hello");
    body["metadata"] = json!({"order": "42"});
    body["delivery"] = json!("at_most_once");
    body["expires_at"] = json!("2100-01-01T00:00:00Z");
    let sent = gateway.post(&path, &tenant.key, body).await;
    let location = sent.header("location").unwrap().to_owned();
    let sent = sent.is(202);
    assert_eq!(rung.next().await, Some(Ring::Outbound(worker.instance)));
    for (field, value) in [
        ("direction", json!("outbound")),
        ("status", json!("queued")),
        ("reason", Value::Null),
        ("to", json!("628123456789@s.whatsapp.net")),
        ("chat", json!("628123456789@s.whatsapp.net")),
        ("type", json!("text")),
        ("text", json!({"body": "Hello"})),
        ("delivery", json!("at_most_once")),
        ("expires_at", json!("2100-01-01T00:00:00.000Z")),
        ("metadata", json!({"order": "42"})),
        ("reply_to", Value::Null),
    ] {
        assert_eq!(sent[field], value, "{field}");
    }
    assert!(sent["whatsapp_id"].as_str().unwrap().starts_with("3EB0"));
    assert_eq!(gateway.get(&location, &tenant.key).await.is(200), sent);
    let open = gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0].secret, [0; 32]);
}

#[tokio::test]
async fn wait_sent_answers_when_whatsapp_did() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    worker.deliver(&gateway);
    let sent = gateway.post(&format!("{path}?wait=sent"), &tenant.key, text("Hello")).await.is(200);
    assert_eq!(sent["status"], "sent");
    assert!(sent["handed_at"].is_string() && sent["sent_at"].is_string());
}

#[tokio::test]
async fn wait_sent_gives_up_when_the_time_is_up() {
    let gateway = Gateway::start().await;
    let (tenant, _worker, path) = online(&gateway).await;
    let started = Instant::now();
    let sent = gateway.post(&format!("{path}?wait=sent&timeout=0.3"), &tenant.key, text("Hello")).await.is(202);
    assert_eq!(sent["status"], "queued");
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&started.elapsed()));
    for query in
        ["wait=delivered", "wait=sent&timeout=31", "wait=sent&timeout=-1", "wait=sent&timeout=NaN", "wait=sent&wait=sent"]
    {
        gateway.post(&format!("{path}?{query}"), &tenant.key, text("Hello")).await.is_problem(422, "invalid_request");
    }
}

#[tokio::test]
async fn wait_sent_finds_without_a_ring_and_shows_failures() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let path = format!("{path}?wait=sent");
    let (answer, ()) = tokio::join!(gateway.post(&path, &tenant.key, text("Hello")), async {
        let open =
            until("it is queued", async || gateway.ledger.open_messages(&[worker.instance], 1).await.unwrap().pop()).await;
        let (message, at) = (open.message.id, Timestamp::default());
        worker.commit(Op::Fail { message, reason: warren_domain::FailureReason::NotOnWhatsapp, at }).await;
    });
    let failed = answer.is(200);
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("not_on_whatsapp")));
    assert!(failed["failed_at"].is_string());
}

#[tokio::test]
async fn a_message_is_sent_by_number() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    for phone in ["628111", "+628111", "%2B628111"] {
        let sent = gateway.post(&format!("/v1/senders/{phone}/messages"), &tenant.key, text("Hello")).await.is(202);
        assert_eq!(sent["instance_id"], worker.instance.to_string());
    }
    for phone in ["628222", "abc", "628111@s.whatsapp.net", "%00"] {
        gateway.post(&format!("/v1/senders/{phone}/messages"), &tenant.key, text("x")).await.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_reply_quotes_what_it_answers() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let received = worker.receive("A question?").await.to_string();
    let reply = async |to: &str| {
        let mut body = text("An answer.");
        body["reply_to"] = json!(to);
        gateway.post(&path, &tenant.key, body).await
    };
    let answer = reply(&received).await.is(202);
    assert_eq!(answer["reply_to"]["message_id"], received);
    assert_eq!(answer["reply_to"]["author"], "628999@s.whatsapp.net");
    assert_eq!(answer["reply_to"]["content"], json!({"type": "text", "text": {"body": "A question?"}}));
    let own = reply(answer["id"].as_str().unwrap()).await.is(202);
    assert_eq!(own["reply_to"]["author"], "628111@s.whatsapp.net");
    reply(&warren_domain::MessageId::generate().to_string()).await.is_problem(422, "unknown_reply_to");
    reply("garbage").await.is_problem(422, "invalid_request");
    let other = gateway.tenant().await;
    let instance = gateway.instance(&other).await;
    let mut body = text("x");
    body["reply_to"] = json!(received);
    gateway.post(&format!("/v1/instances/{instance}/messages"), &other.key, body).await.is_problem(422, "unknown_reply_to");
}

#[tokio::test]
async fn inbound_and_outbound_are_one_list() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let received = worker.receive("Hi").await.to_string();
    let sent = gateway.post(&path, &tenant.key, text("Hello")).await.is(202);
    let list = async |query: &str| {
        gateway.get(&format!("{path}?{query}"), &tenant.key).await.is(200)["data"].as_array().unwrap().clone()
    };
    let all = list("").await;
    assert_eq!((&all[0]["id"], &all[1]["id"]), (&sent["id"], &json!(received)));
    assert_eq!((&all[1]["direction"], &all[1]["from"]["pn"]), (&json!("inbound"), &json!("628999@s.whatsapp.net")));
    assert!(all[1].get("to").is_none() && all[1].get("delivery").is_none());
    assert_eq!(list("direction=inbound").await.len(), 1);
    assert_eq!(list("status=queued").await.len(), 1);
    assert_eq!(list("chat=%2B628123456789").await.len(), 1);
    assert_eq!(list("chat=nobody@g.us").await.len(), 0);
    let page = gateway.get(&format!("{path}?limit=1"), &tenant.key).await.is(200);
    let older = list(&format!("limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!(older[0]["id"], received);
    gateway.get(&format!("{path}?status=lost"), &tenant.key).await.is_problem(422, "invalid_request");

    let found =
        gateway.post(&format!("{path}/lookup"), &tenant.key, json!({"whatsapp_id": sent["whatsapp_id"]})).await.is(200);
    assert_eq!(found["data"], json!([sent]));
    assert_eq!(
        gateway.post(&format!("{path}/lookup"), &tenant.key, json!({"whatsapp_id": "3EB0"})).await.is(200)["data"],
        json!([])
    );
    gateway
        .post(&format!("{path}/lookup"), &tenant.key, json!({"whatsapp_id": ""}))
        .await
        .is_problem(422, "invalid_request");
}

#[tokio::test]
async fn a_status_climbs() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    worker.deliver(&gateway);
    let sent = gateway.post(&format!("{path}?wait=sent"), &tenant.key, text("Hello")).await.is(200);
    for (status, name) in
        [(MessageStatus::Delivered, "delivered"), (MessageStatus::Read, "read"), (MessageStatus::Played, "played")]
    {
        let whatsapp_ids = vec![sent["whatsapp_id"].as_str().unwrap().to_owned()];
        worker.commit(Op::Receipt(ReceiptTarget { whatsapp_ids, status, at: Timestamp::default() })).await;
        let shown = gateway.get(&format!("/v1/messages/{}", sent["id"].as_str().unwrap()), &tenant.key).await.is(200);
        assert_eq!(shown["status"], name);
        assert!(shown[format!("{name}_at")].is_string());
    }
}

#[tokio::test]
async fn a_full_queue_is_429_and_an_unlinked_instance_409() {
    let gateway = Gateway::with(Options { queue_limit: 2, ..Options::default() }).await;
    let (tenant, worker, path) = online(&gateway).await;
    for _ in 0..2 {
        gateway.post(&path, &tenant.key, text("x")).await.is(202);
    }
    let full = gateway.post(&path, &tenant.key, text("x")).await;
    full.is_problem(429, "queue_full");
    assert!(full.header("retry-after").is_some());
    worker.set_state(InstanceState::LoggedOut).await;
    gateway.post(&path, &tenant.key, text("x")).await.is_problem(409, "not_paired");
    let fresh = gateway.instance(&tenant).await;
    gateway.post(&format!("/v1/instances/{fresh}/messages"), &tenant.key, text("x")).await.is_problem(409, "not_paired");
}
