//! Rows 14, 15, 18, 21 to 23 and 26: texts, numbers and groups, with what is checked before, in order.

use super::{Program, STRANGER, done, fields, refused};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn rows_14_and_18_texts_by_instance_and_by_number() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let person = program.stage.simulator.person(json!({"phone": "6281234567890"})).await.unwrap();
    // The same number as people write it.
    for (place, to) in ["6281234567890", "081234567890", "+62 812-3456-7890", "81234567890"].into_iter().enumerate() {
        let text = format!("text {place}");
        let sent = program.post(&format!("/api/send/{}", a.id), json!({"to": to, "message": text})).await;
        let data = done(&sent, "Message sent successfully");
        assert_eq!(fields(&data), ["messageId", "timestamp", "to", "verified"]);
        assert_eq!((&data["to"], &data["verified"]), (&json!(to), &json!(true)));
        assert!(data["timestamp"].as_i64().unwrap() > 1_700_000_000 && data["messageId"].as_str().unwrap().len() >= 16);
    }
    // Another country's number is served as well.
    let abroad = program.stage.simulator.person(json!({"phone": "12125550100"})).await.unwrap();
    let sent = program.post(&format!("/api/send/{}", a.id), json!({"to": "+1 212 555 0100", "message": "hi"})).await;
    done(&sent, "Message sent successfully");
    assert_eq!(program.texts(&abroad.phone, &a.phone, 1).await, ["hi"]);

    let sent =
        program.post(&format!("/api/by-number/{}", a.phone), json!({"to": person.phone, "message": "by number"})).await;
    let data = done(&sent, "Message sent successfully");
    assert_eq!(fields(&data), ["from", "messageId", "timestamp", "to", "verified"]);
    assert_eq!(data["from"], json!(a.phone));
    assert_eq!(program.texts(&person.phone, &a.phone, 5).await, ["text 0", "text 1", "text 2", "text 3", "by number"]);
    in_order(&program, &a.id, &a.phone, &person.phone).await;
}

/// Each row breaks one more thing less: the first that is wrong is what is answered.
async fn in_order(program: &Program, id: &str, own: &str, person: &str) {
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let offline = made["instanceId"].as_str().unwrap();
    let nobody = "0192f0c1a2b37d4e8f90a1b2c3d4e5ff";
    for (sender, body, status, code) in [
        (nobody, json!("no object"), 400, "INVALID_REQUEST"),
        (nobody, json!({"to": 7, "message": "x"}), 400, "INVALID_REQUEST"),
        (nobody, json!({"to": "x"}), 400, "VALIDATION_ERROR"),
        (nobody, json!({"message": "x"}), 400, "VALIDATION_ERROR"),
        (nobody, json!({"to": person, "message": "  "}), 400, "VALIDATION_ERROR"),
        (nobody, json!({"to": person, "message": "x".repeat(65_537)}), 400, "VALIDATION_ERROR"),
        (nobody, json!({"to": "x", "message": "x"}), 404, "SESSION_NOT_FOUND"),
        (offline, json!({"to": "x", "message": "x"}), 400, "NOT_CONNECTED"),
        (id, json!({"to": "x", "message": "x"}), 400, "INVALID_PHONE"),
        (id, json!({"to": "120363000000000001@g.us", "message": "x"}), 400, "INVALID_PHONE"),
        (id, json!({"to": STRANGER, "message": "x"}), 400, "PHONE_NOT_REGISTERED"),
    ] {
        refused(&program.post(&format!("/api/send/{sender}"), body).await, status, code);
    }
    let text = json!({"to": person, "message": "x"});
    for (number, body, status, code) in [
        ("6281999999999", json!({"to": person}), 400, "VALIDATION_ERROR"),
        ("6281999999999", text.clone(), 404, "NO_ACTIVE_INSTANCE"),
        ("x", text.clone(), 404, "NO_ACTIVE_INSTANCE"),
        (own, json!({"to": "x", "message": "x"}), 400, "INVALID_PHONE"),
    ] {
        refused(&program.post(&format!("/api/by-number/{number}"), body).await, status, code);
    }
    // What WhatsApp refuses.
    let trouble = json!({"nack": 400});
    program.stage.simulator.happen(own, "trouble", trouble).await.unwrap();
    refused(&program.post(&format!("/api/send/{id}"), text).await, 500, "SEND_FAILED");
    program.stage.simulator.happen(own, "trouble", json!({"nack": 0})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_numbers_are_checked() {
    let program = Program::begin().await;
    let a = program.pair().await;
    program.stage.simulator.person(json!({"phone": "6281234567890"})).await.unwrap();
    let path = format!("/api/check/{}", a.id);
    let known = done(&program.post(&path, json!({"phone": "081234567890"})).await, "Phone number checked");
    assert_eq!(known, json!({"phone": "081234567890", "isRegistered": true, "jid": "6281234567890@s.whatsapp.net"}));
    let unknown = done(&program.post(&path, json!({"phone": STRANGER})).await, "Phone number checked");
    assert_eq!(unknown, json!({"phone": STRANGER, "isRegistered": false, "jid": ""}));
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let offline = format!("/api/check/{}", made["instanceId"].as_str().unwrap());
    refused(&program.post("/api/check/x", json!("x")).await, 400, "INVALID_REQUEST");
    refused(&program.post("/api/check/x", json!({"phone": "x"})).await, 404, "SESSION_NOT_FOUND");
    refused(&program.post(&offline, json!({"phone": "x"})).await, 400, "NOT_CONNECTED");
    refused(&program.post(&path, json!({"phone": "x"})).await, 400, "INVALID_PHONE");
    refused(&program.post(&path, json!({})).await, 400, "INVALID_PHONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_21_to_23_and_26_groups() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let person = program.stage.simulator.person(json!({})).await.unwrap();
    let by_id = format!("/api/groups/{}", a.id);
    let none = done(&program.get(&by_id).await, "Groups retrieved");
    assert_eq!(none, json!({"total": 0, "groups": []}));
    let group = program.group(&a, &person.phone).await;
    let listed = done(&program.get(&by_id).await, "Groups retrieved");
    let shown = &listed["groups"][0];
    assert_eq!(listed["total"], 1);
    assert_eq!(fields(shown), ["createdAt", "jid", "name", "ownerJid", "participants", "topic"]);
    assert_eq!((&shown["jid"], &shown["name"], &shown["participants"]), (&json!(group), &json!("Trip"), &json!(2)));
    let by_number = done(&program.get(&format!("/api/groups/by-number/{}", a.phone)).await, "Groups retrieved");
    assert_eq!((&by_number["groups"], &by_number["from"]), (&listed["groups"], &json!(a.phone)));
    refused(&program.get("/api/groups/by-number/6281999999999").await, 404, "NO_ACTIVE_INSTANCE");

    let send = format!("/api/send-group/{}", a.id);
    let sent = done(&program.post(&send, json!({"groupJid": group, "message": "all"})).await, "Message sent to group");
    assert_eq!(fields(&sent), ["groupJid", "messageId", "timestamp"]);
    let by_number = format!("/api/send-group/by-number/{}", a.phone);
    let sent =
        done(&program.post(&by_number, json!({"groupJid": group, "message": "again"})).await, "Message sent to group");
    assert_eq!(fields(&sent), ["from", "groupJid", "messageId", "timestamp"]);
    assert_eq!(program.texts(&person.phone, &a.phone, 2).await, ["all", "again"]);
    for (path, body, status, code) in [
        ("/api/send-group/x".to_owned(), json!("x"), 400, "INVALID_REQUEST"),
        ("/api/send-group/x".to_owned(), json!({"groupJid": "x"}), 400, "VALIDATION_ERROR"),
        ("/api/send-group/x".to_owned(), json!({"groupJid": "x", "message": "x"}), 404, "SESSION_NOT_FOUND"),
        (send.clone(), json!({"groupJid": "x", "message": "x"}), 400, "INVALID_GROUP_JID"),
        (send.clone(), json!({"groupJid": "x@g.us", "message": "x"}), 400, "INVALID_GROUP_JID"),
        (send, json!({"groupJid": "628123@s.whatsapp.net", "message": "x"}), 400, "NOT_GROUP_JID"),
        (
            "/api/send-group/by-number/6281999999999".to_owned(),
            json!({"groupJid": "x", "message": "x"}),
            404,
            "NO_ACTIVE_INSTANCE",
        ),
    ] {
        refused(&program.post(&path, body).await, status, code);
    }
}
