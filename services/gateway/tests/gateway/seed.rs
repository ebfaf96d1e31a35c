//! The seed's surface at several gateways: one secret, one rate. And what only an owner's answers bring about.

use crate::support::{Answer, Gateway};
use crate::worker::Worker;
use serde_json::json;
use std::num::NonZeroU32;
use std::time::Duration;
use warren_domain::InstanceState;
use warren_gateway::SeedSettings;

/// A gateway without the surface and two with it, beside each other; so many requests may come to these at once.
async fn two(burst: u32) -> (Gateway, Gateway, Gateway) {
    let first = Gateway::start().await;
    let tenant = first.tenant().await.id.parse().unwrap();
    let rate = |number| NonZeroU32::new(number).unwrap();
    let settings = SeedSettings {
        username: "budi".into(),
        password: "correct horse".into(),
        jwt_secret: "0123456789abcdef0123456789abcdef".into(),
        tenant,
        open_websocket: false,
        cors_origins: Vec::new(),
        // So slow that a test sees no second one come back.
        requests_per_second: rate(1),
        burst: rate(burst),
    };
    let (one, other) = (first.beside_with_seed(settings.clone()).await, first.beside_with_seed(settings).await);
    (first, one, other)
}

#[tokio::test]
async fn row_72_the_rate_is_one_for_all_gateways() {
    let (_first, one, other) = two(10).await;
    let (mut passed, mut limited) = (0, 0);
    for _ in 0..10 {
        for gateway in [&one, &other] {
            let answer = gateway.get("/", "").await;
            match answer.status.as_u16() {
                200 => passed += 1,
                429 => {
                    assert_eq!(answer.json(), json!({"success": false, "error": "rate limit exceeded"}));
                    limited += 1;
                }
                _ => panic!("{answer:?}"),
            }
        }
    }
    // Ten at once, and perhaps some of the next seconds.
    assert!((10..=13).contains(&passed) && limited >= 7, "{passed} {limited}");
}

#[tokio::test]
async fn a_token_of_one_gateway_is_good_at_another_until_its_hour_is_over() {
    let (first, one, other) = two(10).await;
    let login = json!({"username": "budi", "password": "correct horse"});
    let token = one.post("/login-jwt", "", login).await.is(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(other.get("/api/validate", &token).await.is(200)["username"], "budi");
    first.clock.turn(Duration::from_secs(3_601));
    other.get("/api/validate", &token).await.is(401);
    // The first gateway serves none of it.
    first.get("/api/validate", &token).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn wrong_logins_are_counted_by_all_gateways_together() {
    let (_first, one, other) = two(1_000).await;
    let wrong = json!({"username": "budi", "password": "guess"});
    for turn in 0..20 {
        let gateway = if turn % 2 == 0 { &one } else { &other };
        let answer = gateway.post("/login-jwt", "", wrong.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (401, json!({"error": "Invalid credentials"})), "{turn}");
    }
    let right = json!({"username": "budi", "password": "correct horse"});
    for gateway in [&one, &other] {
        // One comes free every three seconds, and a wrong one takes it.
        let refused = crate::support::until("too many", async || {
            gateway.post("/login-jwt", "", wrong.clone()).await;
            let answer = gateway.post("/login-jwt", "", right.clone()).await;
            (answer.status.as_u16() == 429).then_some(answer)
        });
        assert!(refused.await.header("retry-after").is_some());
    }
}

/// A surface, its token, and an instance that is online.
async fn online() -> (Gateway, Gateway, String, Worker) {
    let (first, seed, _) = two(1_000).await;
    let login = json!({"username": "budi", "password": "correct horse"});
    let token = seed.post("/login-jwt", "", login).await.is(200)["token"].as_str().unwrap().to_owned();
    let made = seed.post("/api/login", &token, json!({"kelompok": "x"})).await.is(200);
    let tenants = first.get("/v1/tenants", &first.admin).await.is(200);
    let (tenant, id) = (tenants["data"][0]["id"].as_str().unwrap(), made["data"]["instanceId"].as_str().unwrap());
    let worker = Worker::own(&seed, tenant, id).await;
    worker.pair("628111").await;
    (first, seed, token, worker)
}

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (status, &json!(code)), "{answer:?}");
}

#[tokio::test]
async fn a_number_of_which_whatsapp_says_nothing_is_told_from_one_that_could_not_be_asked() {
    let (_first, seed, token, worker) = online().await;
    worker.hear_nothing_of_numbers(&seed);
    let (check, send) = (format!("/api/check/{}", worker.instance), format!("/api/send/{}", worker.instance));
    refused(seed.post(&check, &token, json!({"phone": "628123456789"})).await, 400, "VERIFICATION_ERROR");
    refused(seed.post(&send, &token, json!({"to": "628123456789", "message": "x"})).await, 500, "VERIFICATION_FAILED");
}

#[tokio::test]
async fn the_state_says_what_is_missing() {
    let (_first, seed, token, worker) = online().await;
    let (groups, device) = (format!("/api/groups/{}", worker.instance), format!("/api/info-device/{}", worker.instance));
    for (state, of_groups, of_device) in [
        (InstanceState::Connecting, "CONNECTION_LOST", "CONNECTION_LOST"),
        (InstanceState::Restricted, "CONNECTION_LOST", "NOT_LOGGED_IN"),
        (InstanceState::Disconnected, "NOT_CONNECTED", "NOT_CONNECTED"),
    ] {
        worker.set_state(state).await;
        refused(seed.get(&groups, &token).await, 400, of_groups);
        refused(seed.get(&device, &token).await, 400, of_device);
    }
}

#[tokio::test]
async fn a_tenant_that_is_full_gets_no_further_instance() {
    let (first, seed, token, _worker) = online().await;
    let tenants = first.get("/v1/tenants", &first.admin).await.is(200);
    let path = format!("/v1/tenants/{}", tenants["data"][0]["id"].as_str().unwrap());
    first.patch(&path, &first.admin, json!({"limits": {"instances": 1}})).await.is(200);
    refused(seed.post("/api/login", &token, json!({"kelompok": "x"})).await, 400, "CREATE_SESSION_FAILED");
}
