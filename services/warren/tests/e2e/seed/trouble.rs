//! What is answered while the store or WhatsApp does not do its part.

use super::{Program, STRANGER, done, refused};
use crate::{store::database, stream_errors::logins};
use reqwest::Method;
use serde_json::json;
use warren_testkit::{PATIENCE, eventually};

/// Changes the store's schema from outside: what needs it fails from then on.
async fn alter(program: &Program, statement: &str) {
    match program.stage.warren.cluster() {
        Some(cluster) => drop(cluster.servers.ledger.execute(&[statement]).await.unwrap()),
        None => database(program.stage.warren.folder()).execute_batch(statement).unwrap(),
    }
}

async fn hide(program: &Program, table: &str) {
    alter(program, &format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await;
}

async fn show(program: &Program, table: &str) {
    alter(program, &format!("ALTER TABLE hidden_{table} RENAME TO {table}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_told_by_the_code_of_what_was_asked() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let label = json!({"kelompok": "x"});
    let made = done(&program.post("/api/login", label.clone()).await, "Instance created, QR code required");
    let other = format!("/api/instances/{}", made["instanceId"].as_str().unwrap());

    hide(&program, "known_chats").await;
    refused(&program.get(&format!("/api/contacts/{}", a.id)).await, 500, "FETCH_FAILED");
    refused(&program.get(&format!("/api/contacts/{}/export?format=csv", a.id)).await, 500, "FETCH_FAILED");
    show(&program, "known_chats").await;

    hide(&program, "webhooks").await;
    let webhook = json!({"url": "https://hooks.example.com/"});
    refused(&program.post(&format!("{other}/webhook-setconfig"), webhook).await, 500, "WEBHOOK_UPDATE_FAILED");
    refused(&program.delete(&other).await, 500, "DELETE_INSTANCE_FAILED");
    show(&program, "webhooks").await;
    // Nothing of it was done.
    done(&program.delete(&other).await, "Instance deleted successfully");

    hide(&program, "tenants").await;
    refused(&program.post("/api/login", label.clone()).await, 500, "DB_INSERT_FAILED");
    show(&program, "tenants").await;
    done(&program.post("/api/login", label).await, "Instance created, QR code required");

    let text = json!({"to": STRANGER, "message": "x"});
    hide(&program, "instances").await;
    for path in ["by-number", "send-group/by-number"] {
        let body = if path == "by-number" { text.clone() } else { json!({"groupJid": "1@g.us", "message": "x"}) };
        refused(&program.post(&format!("/api/{path}/{}", a.phone), body).await, 500, "DB_ERROR");
    }
    refused(&program.get(&format!("/api/groups/by-number/{}", a.phone)).await, 500, "DB_ERROR");
    let listed = program.get("/api/instances").await;
    assert_eq!((listed.status.as_u16(), listed.body["error"].is_string()), (500, true), "{}", listed.text);
    show(&program, "instances").await;
    refused(&program.post(&format!("/api/by-number/{}", a.phone), text).await, 400, "PHONE_NOT_REGISTERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stored_is_not_changed() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let path = format!("/api/instances/{}", a.id);
    let note = json!({"keterangan": "refused"});
    let refusal = match program.stage.warren.cluster() {
        Some(_) => "ALTER TABLE instances ADD CONSTRAINT no_note CHECK (metadata NOT LIKE '%refused%') NOT VALID",
        None => "CREATE TRIGGER no_note BEFORE UPDATE OF metadata ON instances BEGIN SELECT RAISE(ABORT, 'refused'); END",
    };
    alter(&program, refusal).await;
    refused(&program.call(Method::PATCH, &path, Some(note)).await, 500, "UPDATE_FAILED");

    // An account that stays away cannot be asked back while nothing of it can be stored.
    let away = program.stage.api.post(&format!("/v1/instances/{}/disconnect", a.id), &json!({})).await.unwrap();
    assert_eq!(away.status, 202, "{}", away.text);
    program.stage.state(&a.id, "disconnected").await.unwrap();
    refused(&program.get(&format!("/api/info-device/{}", a.id)).await, 400, "NOT_CONNECTED");
    hide(&program, "instance_counters").await;
    refused(&program.get(&format!("/api/qr/{}", a.id)).await, 500, "CONNECT_FAILED");
    show(&program, "instance_counters").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsapp_that_says_nothing_is_told_by_the_code_of_what_was_asked() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let (groups, check) = (format!("/api/groups/{}", a.id), format!("/api/check/{}", a.id));
    let (send, detail) = (format!("/api/send/{}", a.id), format!("/api/contacts/{}/77@lid", a.id));
    let by_number = format!("/api/groups/by-number/{}", a.phone);
    program.stage.simulator.pause().unwrap();
    let (listed, listed_by_number, checked, sent, shown) = tokio::join!(
        program.get(&groups),
        program.get(&by_number),
        program.post(&check, json!({"phone": STRANGER})),
        program.post(&send, json!({"to": STRANGER, "message": "x"})),
        program.get(&detail),
    );
    program.stage.simulator.resume().unwrap();
    refused(&listed, 500, "GET_GROUPS_FAILED");
    refused(&listed_by_number, 500, "GET_GROUPS_FAILED");
    refused(&checked, 500, "CHECK_FAILED");
    refused(&sent, 500, "VERIFICATION_FAILED");
    refused(&shown, 500, "FETCH_FAILED");
    program.stage.state(&a.id, "online").await.unwrap();
    done(&program.get(&groups).await, "Groups retrieved");
}

/// Somebody else uses the session, again and again: the account is kept away, and what needs it says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_log_in_is_told_from_one_that_is_away() {
    let program = Program::with(|options| options.env("WARREN_WORKER__HANDOVER_S", "0")).await;
    let a = program.pair().await;
    let ws = program.socket("/ws").await;
    for kick in 1..=3 {
        let before = logins(&program.stage, &a.phone).await;
        program.stage.simulator.happen(&a.phone, "stream-error", json!({"conflict": "replaced"})).await.unwrap();
        if kick < 3 {
            let back = async || Ok((logins(&program.stage, &a.phone).await > before).then_some(()));
            eventually("a new login", PATIENCE, back).await.unwrap();
            program.stage.state(&a.id, "online").await.unwrap();
        }
    }
    program.stage.state(&a.id, "quarantined").await.unwrap();
    let error = ws.wait_for("the error", |frame| frame["event"] == "INSTANCE_ERROR").await.unwrap();
    assert_eq!(super::fields(&error["data"]), ["code", "error", "instance_id", "message", "phone_number"]);
    assert_eq!(error["data"]["code"], "REPLACED");
    let text = json!({"to": STRANGER, "message": "x"});
    refused(&program.post(&format!("/api/send/{}", a.id), text.clone()).await, 400, "NOT_LOGGED_IN");
    refused(&program.get(&format!("/api/info-device/{}", a.id)).await, 400, "NOT_LOGGED_IN");
    refused(&program.get(&format!("/api/contacts/{}", a.id)).await, 400, "NOT_LOGGED_IN");
    refused(&program.get(&format!("/api/groups/{}", a.id)).await, 400, "CONNECTION_LOST");
    refused(&program.post(&format!("/api/check/{}", a.id), json!({"phone": STRANGER})).await, 400, "NOT_CONNECTED");
    let (answered, body) = program.try_socket(&format!("/api/listen/{}", a.id)).await.unwrap_err();
    assert_eq!((answered, &body["error"]["code"]), (400, &json!("NOT_LOGGED_IN")));
    refused(&program.post(&format!("/api/by-number/{}", a.phone), text).await, 404, "NO_ACTIVE_INSTANCE");
    // Asking for a code asks the account back, as it is linked.
    let connected = done(&program.get(&format!("/api/qr/{}", a.id)).await, "Already connected");
    assert_eq!(connected["status"], "already_connected");
    program.stage.state(&a.id, "online").await.unwrap();
}
