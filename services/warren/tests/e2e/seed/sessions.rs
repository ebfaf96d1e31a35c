//! Rows 1 to 3 and 5 to 13: logging in, and an instance from its making to its deletion.

use super::{PASSWORD, Program, USERNAME, done, fields, refused};
use reqwest::Method;
use serde_json::{Value, json};
use warren_testkit::{PATIENCE, eventually};

/// An id that nobody has, and what is none.
const NOBODY: &str = "0192f0c1a2b37d4e8f90a1b2c3d4e5ff";

#[tokio::test(flavor = "multi_thread")]
async fn rows_1_to_5_the_door() {
    let program =
        Program::with(|options| options.env("WARREN_SEED_CORS_ORIGINS", "https://app.example.com, http://localhost:1"))
            .await;
    let alive = program.get("/").await;
    assert_eq!(
        (alive.status.as_u16(), alive.body),
        (200, json!({"success": true, "message": "WhatsApp API is running", "version": "1.0.0"}))
    );
    // Odd answers: without the envelope.
    for (body, status, error) in [
        (json!({"username": USERNAME, "password": "wrong"}), 401, "Invalid credentials"),
        (json!({"username": USERNAME}), 401, "Invalid credentials"),
        (json!({}), 401, "Invalid credentials"),
        (json!({"username": 7, "password": PASSWORD}), 400, "Bad request"),
    ] {
        let answer = program.post("/login-jwt", body).await;
        assert_eq!((answer.status.as_u16(), answer.body), (status, json!({"error": error})));
    }
    let broken = program.stage.api.post_raw("/login-jwt", "application/json", b"{\"username\"".to_vec()).await.unwrap();
    assert_eq!((broken.status.as_u16(), broken.body), (400, json!({"error": "Bad request"})));
    let validated = program.get("/api/validate").await;
    let expected = json!({"success": true, "message": "Token is valid", "username": USERNAME});
    assert_eq!((validated.status.as_u16(), validated.body), (200, expected));

    // Everything below /api asks for a token, what is not there too; an error that is a text.
    let unauthenticated = json!({
        "success": false,
        "error": "Authentication required",
        "message": "Please provide a valid Bearer token in the Authorization header",
    });
    for key in ["", "nonsense", program.stage.api.key()] {
        for path in ["/api/validate", "/api/instances", "/api/nothing", &format!("/api/status/{NOBODY}")] {
            let answer = program.stage.api.with_key(key).get(path).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body), (401, &unauthenticated), "{path}");
        }
    }
    // And a token is no key of ours.
    assert_eq!(program.get("/v1/instances").await.body["code"], "unauthenticated");
    let missing = program.get("/api/nothing").await;
    let expected = json!({"success": false, "error": "Not Found", "message": "Endpoint not found"});
    assert_eq!((missing.status.as_u16(), missing.body), (404, expected));
    let wrong = program.post("/api/validate", json!({})).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["message"]), (405, &json!("Method not allowed for this endpoint")));
    options_and_origins(&program).await;
}

/// Row 2, and the rules for pages of other origins.
async fn options_and_origins(program: &Program) {
    let page = ("origin", "https://app.example.com");
    for path in ["/", "/login-jwt", "/ws", "/api/instances", "/api/anything/at/all"] {
        let asked = [page, ("access-control-request-method", "POST")];
        let answer = program.stage.api.with_key("").request(Method::OPTIONS, path, None, &asked).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""), "{path}");
        let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_ascii_lowercase();
        assert_eq!(header("access-control-allow-origin"), page.1);
        assert_eq!(header("access-control-allow-credentials"), "true");
        assert_eq!(header("access-control-allow-methods"), "get,post,put,patch,delete,options");
        assert_eq!(header("access-control-allow-headers"), "origin,content-type,accept,x-requested-with,authorization");
    }
    let asked =
        async |origin: (&str, &str)| program.stage.api.request(Method::GET, "/api/nothing", None, &[origin]).await.unwrap();
    assert!(asked(page).await.headers.contains_key("access-control-allow-origin"), "errors too");
    let foreign = asked(("origin", "https://evil.example")).await;
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
    // Our own routes are as they were.
    let ours = program.stage.api.request(Method::OPTIONS, "/v1/instances", None, &[page]).await.unwrap();
    assert_eq!(ours.body["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_6_to_13_an_instance_from_its_making_to_its_end() {
    let program = Program::begin().await;
    let none = done(&program.get("/api/instances?all=true").await, "Instances retrieved");
    assert_eq!(none, json!({"total": 0, "instances": null}));

    // Row 6.
    let api = program.api();
    let broken = api.post_raw("/api/login", "application/json", b"{".to_vec()).await;
    refused(&broken.unwrap(), 400, "BAD_REQUEST");
    for body in [json!({}), json!({"kelompok": ""}), json!({"kelompok": null})] {
        refused(&program.post("/api/login", body).await, 400, "KELOMPOK_REQUIRED");
    }
    let made = done(
        &program.post("/api/login", json!({"kelompok": "sales", "unknown": 1})).await,
        "Instance created, QR code required",
    );
    let id = made["instanceId"].as_str().unwrap();
    assert_eq!(
        made,
        json!({"instanceId": id, "status": "qr_required", "nextStep": "Call GET /qr/:instanceId to get QR code"})
    );
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let path = |name: &str| format!("/api/{name}/{id}");
    let status = done(&program.get(&path("status")).await, "Status retrieved");
    assert_eq!(status, json!({"instanceId": id, "isConnected": false, "jid": ""}));
    refused(&program.get(&path("info-device")).await, 400, "NOT_CONNECTED");

    // Rows 7 and 8.
    refused(&program.delete(&path("qr-cancel")).await, 404, "NO_QR_SESSION");
    let started = done(&program.get(&path("qr")).await, "QR generation started");
    assert_eq!(
        started,
        json!({
            "status": "generating",
            "message": "QR codes will be sent via WebSocket. Listen to QR_GENERATED event.",
            "instance_id": id,
            "timeout": "3 minutes",
        })
    );
    refused(&program.get(&path("qr")).await, 409, "QR_IN_PROGRESS");
    let cancelled = done(&program.delete(&path("qr-cancel")).await, "QR generation cancelled successfully");
    assert_eq!(cancelled, json!({"instance_id": id, "status": "cancelled"}));
    let phone = program.scan(id).await;
    let connected = done(&program.get(&path("qr")).await, "Already connected");
    let jid = connected["jid"].as_str().unwrap().to_owned();
    assert!(connected["status"] == "already_connected" && jid.starts_with(&phone), "{connected}");

    // Rows 9, 10 and 13.
    let status = done(&program.get(&path("status")).await, "Status retrieved");
    assert_eq!(status, json!({"instanceId": id, "isConnected": true, "jid": jid}));
    let device = done(&program.get(&path("info-device")).await, "Device info retrieved");
    assert_eq!(device, json!({"instanceId": id, "jid": jid, "phoneNumber": phone}));
    lists(&program, id, &phone).await;

    // Rows 11 and 12.
    refused(&program.delete(&path("instances")).await, 400, "INSTANCE_STILL_CONNECTED");
    let out = done(&program.post(&path("logout"), json!({})).await, "Logged out successfully");
    assert_eq!(out, json!({"instanceId": id}));
    refused(&program.post(&path("logout"), json!({})).await, 404, "SESSION_NOT_FOUND");
    refused(&program.get(&path("status")).await, 404, "SESSION_NOT_FOUND");
    let listed = done(&program.get("/api/instances?all=true").await, "Instances retrieved");
    let kept = listed["instances"].as_array().unwrap().iter().find(|instance| instance["instanceId"] == id).unwrap().clone();
    assert_eq!(
        (&kept["status"], &kept["isConnected"], &kept["phoneNumber"]),
        (&json!("logged_out"), &json!(false), &json!(phone))
    );
    eventually("the device is gone", PATIENCE, async || {
        Ok((!program.stage.simulator.is_connected(&phone).await?).then_some(()))
    })
    .await
    .unwrap();
    let gone = done(&program.delete(&path("instances")).await, "Instance deleted successfully");
    assert_eq!(gone, json!({"instanceId": id}));
    refused(&program.delete(&path("instances")).await, 404, "INSTANCE_NOT_FOUND");
    unknown(&program).await;
}

/// Row 10, and the fields that can be changed.
async fn lists(program: &Program, id: &str, phone: &str) {
    let other =
        done(&program.post("/api/login", json!({"kelompok": "support"})).await, "Instance created, QR code required");
    let online = done(&program.get("/api/instances").await, "Instances retrieved");
    assert_eq!(online["total"], 1);
    let shown = &online["instances"][0];
    assert_eq!(
        fields(shown),
        [
            "about",
            "batteryCharging",
            "batteryLevel",
            "circle",
            "connectedAt",
            "createdAt",
            "disconnectedAt",
            "existsInWhatsmeow",
            "id",
            "instanceId",
            "isConnected",
            "jid",
            "keterangan",
            "lastSeen",
            "name",
            "phoneNumber",
            "platform",
            "profilePicture",
            "qrCode",
            "qrExpiresAt",
            "status",
            "used",
        ]
    );
    assert_eq!((&shown["instanceId"], &shown["status"], &shown["circle"]), (&json!(id), &json!("online"), &json!("sales")));
    assert_eq!((&shown["phoneNumber"], &shown["disconnectedAt"]), (&json!(phone), &json!("0001-01-01T00:00:00Z")));
    let all = done(&program.get("/api/instances?all=true").await, "Instances retrieved");
    assert_eq!(all["total"], 2);
    let waiting = &all["instances"][1];
    assert_eq!((&waiting["instanceId"], &waiting["status"]), (&other["instanceId"], &json!("qr_required")));

    let path = format!("/api/instances/{id}");
    refused(&program.call(Method::PATCH, &path, Some(json!({}))).await, 400, "NO_FIELDS");
    let change = json!({"used": false, "keterangan": "spare", "circle": "b"});
    let changed = done(&program.call(Method::PATCH, &path, Some(change)).await, "Instance updated successfully");
    let of = |name: &str| changed[name].clone();
    assert_eq!((of("used"), of("keterangan"), of("circle")), (json!(false), json!("spare"), json!("b")));
    assert_eq!(program.stage.api.get(&format!("/v1/instances/{id}")).await.unwrap().body["metadata"]["circle"], "b");
}

/// What there is not, and what is no id: the same answer.
async fn unknown(program: &Program) {
    for id in [NOBODY, "x", "..%2f..%2fetc", &"f".repeat(300)] {
        for (method, path, status, code) in [
            (Method::GET, "status", 404, "SESSION_NOT_FOUND"),
            (Method::GET, "info-device", 404, "SESSION_NOT_FOUND"),
            (Method::GET, "groups", 404, "SESSION_NOT_FOUND"),
            (Method::POST, "logout", 404, "SESSION_NOT_FOUND"),
            (Method::DELETE, "qr-cancel", 404, "NO_QR_SESSION"),
            (Method::DELETE, "instances", 404, "INSTANCE_NOT_FOUND"),
        ] {
            refused(&program.call(method, &format!("/api/{path}/{id}"), None).await, status, code);
        }
    }
    refused(&program.get("/api/qr/x").await, 500, "CREATE_SESSION_FAILED");
    // An id that there is not becomes an instance's.
    let started = done(&program.get(&format!("/api/qr/{NOBODY}")).await, "QR generation started");
    assert_eq!(started["instance_id"], NOBODY);
    let made: Value = program.stage.api.get(&format!("/v1/instances/{NOBODY}")).await.unwrap().body;
    assert_eq!(made["id"], NOBODY);
}
