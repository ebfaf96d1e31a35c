//! Rows 4 and 29: what is told over the WebSockets, to whom.

use super::{Program, done, fields};
use serde_json::{Value, json};
use warren_testkit::Socket;

fn is(event: &'static str, id: &str) -> impl Fn(&Value) -> bool {
    let id = json!(id);
    move |frame| frame["event"] == event && frame["data"]["instance_id"] == id
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_what_happens_to_instances_is_told_to_whoever_has_a_token() {
    let program = Program::begin().await;
    let url = format!("{}/ws", program.stage.api.base());
    let (status, body) = Socket::open(&url, &[]).await.unwrap().unwrap_err();
    assert_eq!((status, &body["error"]), (401, &json!("Authentication required")));
    let token = format!("Bearer {}", program.token);
    let foreign = [("authorization", token.as_str()), ("origin", "https://evil.example")];
    assert_eq!(Socket::open(&url, &foreign).await.unwrap().unwrap_err().0, 403);
    assert_eq!(program.get("/ws").await.status, 400, "no handshake");

    let ws = program.socket("/ws").await;
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let id = made["instanceId"].as_str().unwrap();
    let path = |name: &str| format!("/api/{name}/{id}");
    done(&program.get(&path("qr")).await, "QR generation started");
    let shown = ws.wait_for("the code", is("QR_GENERATED", id)).await.unwrap();
    assert_eq!(fields(&shown), ["data", "event", "timestamp"]);
    assert_eq!(fields(&shown["data"]), ["expires_at", "instance_id", "qr_data"]);
    done(&program.delete(&path("qr-cancel")).await, "QR generation cancelled successfully");
    let cancelled = ws.wait_for("the cancellation", is("QR_CANCELLED", id)).await.unwrap();
    let expected = json!({"instance_id": id, "status": "cancelled", "message": "User cancelled QR generation"});
    assert_eq!(cancelled["data"], expected);
    let ended = ws.wait_for("its end", is("QR_TIMEOUT", id)).await.unwrap();
    assert_eq!(ended["data"], json!({"instance_id": id, "status": "cancelled", "reason": "context canceled"}));

    let phone = program.scan(id).await;
    let success = ws.wait_for("the scan", is("QR_SUCCESS", id)).await.unwrap();
    assert_eq!(success["data"], json!({"instance_id": id, "status": "connected"}));
    let changed = |status: &'static str| {
        let is_it = is("INSTANCE_STATUS_CHANGED", id);
        move |frame: &Value| is_it(frame) && frame["data"]["status"] == status
    };
    let online = ws.wait_for("online", changed("online")).await.unwrap();
    assert_eq!(fields(&online["data"]), ["connected_at", "instance_id", "is_connected", "phone_number", "status"]);
    assert_eq!((&online["data"]["phone_number"], &online["data"]["is_connected"]), (&json!(phone), &json!(true)));
    // The seed tells nobody of a lost connection.
    program.stage.simulator.happen(&phone, "drop", json!({})).await.unwrap();
    let lost = ws.wait_for("disconnected", changed("disconnected")).await.unwrap();
    assert_eq!(fields(&lost["data"]), ["disconnected_at", "instance_id", "is_connected", "phone_number", "status"]);
    program.stage.state(id, "online").await.unwrap();
    done(&program.post(&path("logout"), json!({})).await, "Logged out successfully");
    let out = ws.wait_for("logged out", changed("logged_out")).await.unwrap();
    assert_eq!(out["data"]["is_connected"], false);
    assert!(ws.frames().iter().all(|frame| frame["event"] != "incoming_message"));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_it_can_be_opened_on_purpose() {
    let program = Program::with(|options| options.env("WARREN_SEED_OPEN_WEBSOCKET", "true")).await;
    let url = format!("{}/ws", program.stage.api.base());
    let open = Socket::open(&url, &[]).await.unwrap().unwrap();
    let evil = Socket::open(&url, &[("origin", "https://evil.example")]).await.unwrap();
    assert_eq!(evil.unwrap_err().0, 403, "pages of others are kept out even then");
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let id = made["instanceId"].as_str().unwrap();
    done(&program.get(&format!("/api/qr/{id}")).await, "QR generation started");
    open.wait_for("the code", is("QR_GENERATED", id)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_a_code_that_nobody_scans_runs_out() {
    let program = Program::with(|options| options.env("WARREN_WORKER__PAIRING_DEADLINE_S", "2")).await;
    let ws = program.socket("/ws").await;
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let id = made["instanceId"].as_str().unwrap();
    done(&program.get(&format!("/api/qr/{id}")).await, "QR generation started");
    let ended = ws.wait_for("its end", is("QR_TIMEOUT", id)).await.unwrap();
    assert_eq!(ended["data"], json!({"instance_id": id, "status": "timeout"}));
    super::refused(&program.delete(&format!("/api/qr-cancel/{id}")).await, 404, "NO_QR_SESSION");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_29_an_instances_messages_are_told_and_nobody_elses() {
    let program = Program::begin().await;
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let offline = made["instanceId"].as_str().unwrap();
    for (id, status, code) in [("x", 404, "SESSION_NOT_FOUND"), (offline, 400, "NOT_CONNECTED")] {
        let (answered, body) = program.try_socket(&format!("/api/listen/{id}")).await.unwrap_err();
        assert_eq!((answered, &body["error"]["code"]), (status, &json!(code)));
    }
    let (a, b) = (program.pair().await, program.pair().await);
    let path = format!("/api/listen/{}", a.id);
    super::refused(&program.get(&path).await, 500, "UPGRADE_FAILED");
    let url = format!("{}{path}", program.stage.api.base());
    assert_eq!(Socket::open(&url, &[]).await.unwrap().unwrap_err().0, 401);

    let (of_a, of_b) = (program.socket(&path).await, program.socket(&format!("/api/listen/{}", b.id)).await);
    let person = program.stage.simulator.person(json!({"name": "Siti"})).await.unwrap();
    program.stage.simulator.write(&person.phone, &a.phone, "halo", 1).await.unwrap();
    program.stage.simulator.write(&person.phone, &b.phone, "hai", 1).await.unwrap();
    let got = of_a.wait_for("the message", is("incoming_message", &a.id)).await.unwrap();
    of_b.wait_for("the other's message", is("incoming_message", &b.id)).await.unwrap();
    assert_eq!(fields(&got), ["data", "event", "timestamp"]);
    let data = &got["data"];
    assert_eq!(
        fields(data),
        ["event", "from", "from_me", "instance_id", "is_group", "message", "message_id", "push_name", "timestamp",]
    );
    assert_eq!((&data["message"], &data["from_me"], &data["is_group"]), (&json!("halo"), &json!(false), &json!(false)));
    assert!(data["from"].as_str().unwrap().starts_with(&person.phone), "{data}");
    assert!(data["timestamp"].as_i64().unwrap() > 1_700_000_000);

    // A group's messages too, by who wrote them.
    let group = program.group(&a, &person.phone).await;
    program.stage.simulator.write(&person.phone, &group, "semua", 1).await.unwrap();
    let in_the_group = of_a.wait_for("the group's message", |frame| frame["data"]["is_group"] == true).await.unwrap();
    assert_eq!(in_the_group["data"]["message"], "semua");
    assert!(in_the_group["data"]["from"].as_str().unwrap().starts_with(&person.phone), "{in_the_group}");

    // What happens to the instance is told to its listeners, what happens to another is not.
    program.stage.simulator.happen(&b.phone, "drop", json!({})).await.unwrap();
    of_b.wait_for("B's loss", is("INSTANCE_STATUS_CHANGED", &b.id)).await.unwrap();
    program.stage.simulator.happen(&a.phone, "drop", json!({})).await.unwrap();
    of_a.wait_for("A's loss", is("INSTANCE_STATUS_CHANGED", &a.id)).await.unwrap();
    for (socket, own) in [(&of_a, &a.id), (&of_b, &b.id)] {
        assert!(socket.frames().iter().all(|frame| frame["data"]["instance_id"] == **own), "{:?}", socket.frames());
    }
}
