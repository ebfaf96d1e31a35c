//! Rows 67, 68 and 70 of the bad inputs, and what a socket may cost.

use crate::{
    messages::online,
    stream::{listen, open, refused},
    support::{Gateway, until},
};
use futures::SinkExt as _;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use warren_domain::key::Secret;
use warren_gateway::Options;

#[tokio::test]
async fn row_67_no_wrong_and_used_credentials() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    assert_eq!(refused(open(&gateway, "", &[]).await).0, 401);
    assert_eq!(refused(open(&gateway, "", &[("x-api-key", Secret::generate().reveal())]).await).0, 401);
    let (status, body) = refused(open(&gateway, &format!("token={}", tenant.key), &[]).await);
    assert_eq!((status, &body["code"]), (401, &json!("credentials_in_url")));

    let ticket = async || {
        gateway.post("/v1/events/tickets", &tenant.key, json!({})).await.is(201)["ticket"].as_str().unwrap().to_owned()
    };
    let good = ticket().await;
    // Used on another gateway than the one that made it.
    let second = gateway.beside(Options::default()).await;
    let mut socket = open(&second, &format!("ticket={good}"), &[]).await.unwrap();
    worker.receive("hello").await;
    assert_eq!(socket.event().await["data"]["text"]["body"], "hello");
    for gateway in [&gateway, &second] {
        assert_eq!(refused(open(gateway, &format!("ticket={good}"), &[]).await).0, 401, "used");
    }
    let late = ticket().await;
    gateway.clock.turn(Duration::from_secs(31));
    assert_eq!(refused(open(&gateway, &format!("ticket={late}"), &[]).await).0, 401, "expired");
    let unknown = format!("wst_{}_{}", tenant.id, "A".repeat(43));
    for text in ["", "garbage", &unknown, &unknown.replace(&tenant.id, &warren_domain::TenantId::generate().to_string())] {
        assert_eq!(refused(open(&gateway, &format!("ticket={text}"), &[]).await).0, 401);
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_one_of_many_at_once() {
    let gateway = Gateway::start().await;
    let (tenant, ..) = online(&gateway).await;
    let second = gateway.beside(Options::default()).await;
    let made = gateway.post_once("/v1/events/tickets", &tenant.key, "k", json!({})).await.is(201);
    let query = format!("ticket={}", made["ticket"].as_str().unwrap());
    let opened =
        futures::future::join_all((0..10).map(|n| open(if n % 2 == 0 { &gateway } else { &second }, &query, &[]))).await;
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 1);
    let again = gateway.post_once("/v1/events/tickets", &tenant.key, "k", json!({})).await.is(201);
    assert_eq!(again["ticket"], json!(null));
}

#[tokio::test]
async fn row_68_foreign_pages() {
    let options = Options { allowed_origins: vec!["https://app.example.com".into()], ..Options::default() };
    let gateway = Gateway::with(options).await;
    let (tenant, ..) = online(&gateway).await;
    let from = async |origin: &str| {
        open(&gateway, "", &[("x-api-key", &tenant.key), ("origin", origin), ("cookie", "session=x")]).await
    };
    let (status, body) = refused(from("https://evil.example").await);
    assert_eq!((status, &body["code"]), (403, &json!("origin_not_allowed")));
    from("https://app.example.com").await.unwrap();
    from(&format!("http://{}", gateway.address)).await.unwrap();
}

#[tokio::test]
async fn row_70_one_tenant_does_not_take_all_sockets() {
    let gateway = Gateway::with(Options { websockets_per_tenant: 3, ..Options::default() }).await;
    let (tenant, ..) = online(&gateway).await;
    let mut open_ones = Vec::new();
    for _ in 0..3 {
        open_ones.push(listen(&gateway, &tenant, "").await);
    }
    let (status, body) = refused(open(&gateway, "", &[("x-api-key", &tenant.key)]).await);
    assert_eq!((status, &body["code"]), (429, &json!("too_many_websockets")));
    let other = gateway.tenant().await;
    listen(&gateway, &other, "").await;
    assert!(gateway.metrics.render().contains("warren_websocket_clients"));
    drop(open_ones);
    until("the places are free again", async || open(&gateway, "", &[("x-api-key", &tenant.key)]).await.ok()).await;
}

#[tokio::test]
async fn a_cursor_is_checked_before_the_upgrade() {
    let gateway = Gateway::start().await;
    let (tenant, ..) = online(&gateway).await;
    let at = async |query: &str| refused(open(&gateway, query, &[("x-api-key", &tenant.key)]).await);
    let (status, body) = at("after=AQAAAAAAAAABAAAAAAAAAAA").await;
    assert_eq!((status, &body["code"]), (410, &json!("cursor_expired")));
    assert!(body["oldest_cursor"].is_string());
    assert_eq!(at("after=garbage").await.0, 422);
    assert_eq!(at("type=nonsense").await.0, 422);
    assert_eq!(at("colour=red").await.0, 422);
    gateway.get("/v1/events/stream", &tenant.key).await.is_problem(426, "upgrade_required");
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams() {
    let gateway = Gateway::with(Options { revocation_ms: 100, ..Options::default() }).await;
    let (tenant, ..) = online(&gateway).await;
    let socket = listen(&gateway, &tenant, "").await;
    let keys = format!("/v1/tenants/{}/keys", tenant.id);
    let id = gateway.get(&keys, &gateway.admin).await.is(200)["data"][0]["id"].as_str().unwrap().to_owned();
    gateway.delete(&format!("{keys}/{id}"), &gateway.admin).await.is(204);
    assert_eq!(u16::from(socket.closed().await.code), 4401);
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let gateway = Gateway::with(Options { ping_ms: 100, ..Options::default() }).await;
    let (tenant, ..) = online(&gateway).await;
    let mut live = listen(&gateway, &tenant, "").await;
    let dead = listen(&gateway, &tenant, "").await;
    // The library answers pings only while it is read.
    let reading = tokio::time::timeout(Duration::from_secs(1), async { live.event().await });
    assert!(reading.await.is_err(), "the one that answers stays");
    assert_eq!(u16::from(dead.closed().await.code), 4408);
}

#[tokio::test]
async fn frames_are_few_and_small() {
    let gateway = Gateway::start().await;
    let (tenant, ..) = online(&gateway).await;
    let mut chatty = listen(&gateway, &tenant, "").await;
    for _ in 0..40 {
        let _ = chatty.0.send(Message::text("{}")).await;
    }
    assert_eq!(u16::from(chatty.closed().await.code), 1008);
    let mut bulky = listen(&gateway, &tenant, "").await;
    bulky.0.send(Message::text("x".repeat(64 * 1024 + 1))).await.unwrap();
    assert_eq!(u16::from(bulky.closed().await.code), 1009);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_resumes() {
    let gateway = Gateway::with(Options { slow_client_ms: 300, ..Options::default() }).await;
    let (tenant, worker, _) = online(&gateway).await;
    let mut slow = listen(&gateway, &tenant, "after=begin").await;
    let mut quick = listen(&gateway, &tenant, "after=begin").await;
    let body = "x".repeat(60_000);
    let writer = tokio::spawn(async move {
        for _ in 0..400 {
            worker.receive(&body).await;
        }
    });
    for seq in 1..=402 {
        assert_eq!(quick.event().await["seq"], seq, "others are not held up");
    }
    writer.await.unwrap();
    until("the slow one is cut", async || {
        gateway.metrics.render().contains(r#"warren_websocket_closed_total{reason="slow"} 1"#).then_some(())
    })
    .await;
    // What reached it is whole and in order, and it goes on from the last cursor it saw.
    let (mut last, mut cursor) = (0, String::new());
    while let Some(Ok(message)) = futures::StreamExt::next(&mut slow.0).await {
        let Message::Text(text) = message else { continue };
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(seq) = event["seq"].as_i64() {
            assert_eq!(seq, last + 1);
            last = seq;
            cursor = event["cursor"].as_str().unwrap().to_owned();
        }
    }
    assert!(last < 402);
    let mut resumed = listen(&gateway, &tenant, &format!("after={cursor}")).await;
    for seq in last + 1..=402 {
        assert_eq!(resumed.event().await["seq"], seq);
    }
}
