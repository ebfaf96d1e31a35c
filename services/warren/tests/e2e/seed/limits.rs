//! How often, for whom, and with which settings.

use super::{PASSWORD, Program, SECRET, USERNAME, done, surface};
use crate::binary;
use serde_json::{Value, json};
use warren_testkit::{Network, Options, PATIENCE, Stage, Warren, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn ten_requests_a_second_of_one_address() {
    let program =
        Program::with(|options| options.env("WARREN_SEED__REQUESTS_PER_SECOND", "10").env("WARREN_SEED__BURST", "10")).await;
    let mut limited = None;
    // Faster than ten a second, whatever else the machine does.
    for _ in 0..20 {
        let answers = futures::future::join_all((0..20).map(|_| program.get("/"))).await;
        limited = answers.into_iter().find(|answer| answer.status == 429);
        if limited.is_some() {
            break;
        }
    }
    let limited = limited.unwrap();
    assert_eq!(limited.body, json!({"success": false, "error": "rate limit exceeded"}));
    assert!(limited.headers.contains_key("retry-after"));
    // Our own API has its own limits.
    assert_eq!(program.stage.api.get("/v1/instances").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_limited() {
    let program = Program::begin().await;
    let wrong = json!({"username": USERNAME, "password": "canary-guess"});
    let right = json!({"username": USERNAME, "password": PASSWORD});
    let tried = async |body: &Value| program.post("/login-jwt", body.clone()).await.status.as_u16();
    for _ in 0..20 {
        assert_eq!(tried(&wrong).await, 401);
    }
    // The right one is not tried either, or guessing would go on. One comes free every three seconds: on a machine that is slow
    // just then it may be the right one's turn.
    let is_limited = async || Ok((tried(&wrong).await == 429 && tried(&right).await == 429).then_some(()));
    eventually("both are refused", PATIENCE, is_limited).await.unwrap();
    // Tokens that there are still count.
    assert_eq!(program.get("/api/validate").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_instances_are_not_there() {
    let program = Program::begin().await;
    let admin = program.stage.warren.admin().unwrap();
    let tenant = admin.post("/v1/tenants", &json!({"name": "other"})).await.unwrap().body["id"].as_str().unwrap().to_owned();
    let key = admin.post(&format!("/v1/tenants/{tenant}/keys"), &json!({"name": "other"})).await.unwrap().body;
    let other = program.stage.api.with_key(key["key"].as_str().unwrap());
    let id = other.create_instance("theirs").await.unwrap().id;
    let listed = done(&program.get("/api/instances?all=true").await, "Instances retrieved");
    assert_eq!(listed["total"], 0);
    super::refused(&program.get(&format!("/api/status/{id}")).await, 404, "SESSION_NOT_FOUND");
    super::refused(&program.delete(&format!("/api/instances/{id}")).await, 404, "INSTANCE_NOT_FOUND");
    super::refused(&program.get(&format!("/api/qr/{id}")).await, 500, "CREATE_SESSION_FAILED");
    assert_eq!(other.instance(&id).await.unwrap().state, "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_credentials_it_is_not_there() {
    let stage = Stage::start(binary()).await.unwrap();
    for path in ["/", "/login-jwt", "/ws", "/api/validate", "/api/instances"] {
        let answer = stage.api.get(path).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused_in_one_line() {
    let on = || surface(Options::new(binary(), Network::Whatsapp));
    let own_key = "0f3a9c1e5b7d2846af0e1c9b3d5f7a86";
    for (options, word) in [
        (Options::new(binary(), Network::Whatsapp).env("WARREN_SEED_USERNAME", USERNAME), "seed.password"),
        (on().env("WARREN_SEED_PASSWORD", ""), "seed.password"),
        (on().env("WARREN_SEED_JWT_SECRET", "canary"), "seed.jwt_secret"),
        (on().env("WARREN_SEED_CORS_ORIGINS", "*"), "seed.cors_origins"),
        (on().env("WARREN_SEED_TENANT", "canary"), "WARREN_SEED_TENANT"),
        (on().env("WARREN_SEED_TENANT", own_key), "WARREN_SEED_TENANT"),
        (on().env("WARREN_ADMIN_KEY", own_key), "WARREN_SEED_TENANT"),
    ] {
        let ended = Warren::refused(&options).await.unwrap();
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("warren: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(word), "{word}: {}", ended.stderr);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
}

/// No password, secret, token, number or text in logs, metrics and errors.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks() {
    let mut program = Program::with(|options| options.env("RUST_LOG", "trace")).await;
    let a = program.pair().await;
    let person = program.stage.simulator.person(json!({"phone": "6281177744711"})).await.unwrap();
    let _ws = program.socket("/ws").await;
    let _listening = program.socket(&format!("/api/listen/{}", a.id)).await;
    let text = json!({"to": person.phone, "message": "canary-text-4471"});
    done(&program.post(&format!("/api/send/{}", a.id), text.clone()).await, "Message sent successfully");
    done(&program.post(&format!("/api/by-number/{}", a.phone), text).await, "Message sent successfully");
    let mut errors = Vec::new();
    for (path, body) in [
        (format!("/api/send/{}", a.id), json!({"to": "canary-number", "message": "canary-text-4471"})),
        (format!("/api/send/{}", a.id), json!({"to": "6281999999999", "message": "canary-text-4471"})),
        (format!("/api/send/{}/media-url", a.id), json!({"to": person.phone, "mediaUrl": "http://canary.internal/"})),
        ("/api/by-number/6281177744722".to_owned(), json!({"to": person.phone, "message": "canary-text-4471"})),
        ("/login-jwt".to_owned(), json!({"username": "canary-name", "password": "canary-guess"})),
    ] {
        errors.push(program.post(&path, body).await.text);
    }
    let metrics = program.stage.warren.metrics().await.unwrap();
    assert!(metrics.contains("/api/by-number/{phone}"), "routes are templates");
    let ended = program.stage.warren.stop().await.unwrap();
    let signature = program.token.rsplit('.').next().unwrap().to_owned();
    for canary in ["canary", SECRET, "6281177744711", "6281177744722", a.phone.as_str(), signature.as_str()] {
        let found: Vec<_> = ended.stderr.lines().filter(|line| line.contains(canary)).take(3).collect();
        assert!(found.is_empty(), "{canary} is in the log: {found:#?}");
        assert!(!metrics.contains(canary), "{canary} is in the metrics");
        assert!(errors.iter().all(|text| !text.contains(canary)), "{canary} is in an error: {errors:?}");
    }
}
