//! The seed's surface at several gateways: one secret, one rate.

use crate::support::Gateway;
use serde_json::json;
use std::num::NonZeroU32;
use std::time::Duration;
use warren_gateway::SeedSettings;

async fn two() -> (Gateway, Gateway, Gateway) {
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
        burst: rate(10),
    };
    let (one, other) = (first.beside_with_seed(settings.clone()).await, first.beside_with_seed(settings).await);
    (first, one, other)
}

#[tokio::test]
async fn row_72_the_rate_is_one_for_all_gateways() {
    let (_first, one, other) = two().await;
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
    let (first, one, other) = two().await;
    let login = json!({"username": "budi", "password": "correct horse"});
    let token = one.post("/login-jwt", "", login).await.is(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(other.get("/api/validate", &token).await.is(200)["username"], "budi");
    first.clock.turn(Duration::from_secs(3_601));
    other.get("/api/validate", &token).await.is(401);
    // The first gateway serves none of it.
    first.get("/api/validate", &token).await.is_problem(404, "not_found");
}
