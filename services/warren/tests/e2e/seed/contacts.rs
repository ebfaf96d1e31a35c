//! Of the later revision: contacts as a list, as a file, and one by one.

use super::{Program, STRANGER, done, fields, refused};
use serde_json::{Value, json};
use warren_testkit::{PATIENCE, Paired, eventually};

/// The contacts, once there are so many.
async fn listed(program: &Program, path: &str, total: u64) -> Value {
    eventually("the contacts", PATIENCE, async || {
        let data = done(&program.get(path).await, "Contact list retrieved successfully");
        Ok((data["total"] == total).then_some(data))
    })
    .await
    .unwrap()
}

/// Two who wrote, and one who was written to.
async fn known(program: &Program) -> Paired {
    let a = program.pair().await;
    let simulator = &program.stage.simulator;
    for (phone, name) in [("6281200000001", "Siti"), ("6281200000002", "=HYPERLINK(1)")] {
        simulator.person(json!({"phone": phone, "name": name})).await.unwrap();
        simulator.write(phone, &a.phone, "halo", 1).await.unwrap();
    }
    simulator.person(json!({"phone": "6281200000003"})).await.unwrap();
    let text = json!({"to": "6281200000003", "message": "hai"});
    done(&program.post(&format!("/api/send/{}", a.id), text).await, "Message sent successfully");
    a
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_listed_in_pages_and_found() {
    let program = Program::begin().await;
    let a = known(&program).await;
    let path = format!("/api/contacts/{}", a.id);
    let all = listed(&program, &path, 3).await;
    let expected = ["contacts", "hasNextPage", "hasPrevPage", "limit", "page", "search", "total", "totalPages"];
    assert_eq!(fields(&all), expected);
    assert_eq!((&all["page"], &all["limit"], &all["totalPages"]), (&json!(1), &json!(50), &json!(1)));
    let siti = json!({
        "jid": "6281200000001@s.whatsapp.net", "phoneNumber": "6281200000001", "name": "Siti", "isGroup": false,
    });
    assert_eq!(all["contacts"][0], siti);
    assert_eq!(all["contacts"][2]["name"], "6281200000003", "who has no name is called by his number");
    let page = listed(&program, &format!("{path}?page=2&limit=2"), 3).await;
    assert_eq!((&page["hasNextPage"], &page["hasPrevPage"], &page["totalPages"]), (&json!(false), &json!(true), &json!(2)));
    assert_eq!(page["contacts"].as_array().unwrap().len(), 1);
    let beyond = listed(&program, &format!("{path}?page=9&limit=99"), 3).await;
    assert_eq!((&beyond["contacts"], &beyond["limit"]), (&json!([]), &json!(50)));
    let found = listed(&program, &format!("{path}?search=SITI"), 1).await;
    assert_eq!((&found["contacts"][0], &found["search"]), (&siti, &json!("siti")));
    assert_eq!(listed(&program, &format!("{path}?search=0000002"), 1).await["contacts"][0]["name"], "=HYPERLINK(1)");
    // The same people at /v1.
    let ours = program.stage.api.get(&format!("/v1/instances/{}/contacts?limit=1", a.id)).await.unwrap().body;
    assert_eq!(ours["data"], json!([{"jid": "6281200000001@s.whatsapp.net", "push_name": "Siti"}]));
    let next = format!("/v1/instances/{}/contacts?cursor={}", a.id, ours["next_cursor"].as_str().unwrap());
    assert_eq!(program.stage.api.get(&next).await.unwrap().body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_exported() {
    let program = Program::begin().await;
    let a = known(&program).await;
    let path = format!("/api/contacts/{}", a.id);
    listed(&program, &path, 3).await;
    let csv = program.get(&format!("{path}/export?format=csv")).await;
    let header = |name: &str| csv.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((csv.status.as_u16(), header("content-type").as_str()), (200, "text/csv"));
    assert_eq!(header("content-disposition"), format!("attachment; filename=contacts_{}.csv", a.id));
    let rows = [
        "No,Phone Number,Name,JID,Type",
        "1,6281200000001,Siti,6281200000001@s.whatsapp.net,Contact",
        // No formula.
        "2,6281200000002,'=HYPERLINK(1),6281200000002@s.whatsapp.net,Contact",
        "3,6281200000003,6281200000003,6281200000003@s.whatsapp.net,Contact",
    ];
    assert_eq!(csv.text.lines().collect::<Vec<_>>(), rows);
    for query in ["", "?format=xlsx"] {
        let book = program.get(&format!("{path}/export{query}")).await;
        assert_eq!(book.status, 200);
        assert!(book.headers["content-type"].to_str().unwrap().ends_with("spreadsheetml.sheet"));
        assert!(book.text.starts_with("PK"));
    }
    // The kind of file comes before the instance.
    refused(&program.get("/api/contacts/x/export?format=pdf").await, 400, "INVALID_FORMAT");
    refused(&program.get("/api/contacts/x/export").await, 404, "SESSION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_shown() {
    let program = Program::begin().await;
    let a = known(&program).await;
    let path = format!("/api/contacts/{}", a.id);
    listed(&program, &path, 3).await;
    let shown =
        done(&program.get(&format!("{path}/6281200000001@s.whatsapp.net")).await, "Contact details retrieved successfully");
    let names = [
        "about",
        "businessName",
        "isBusiness",
        "isGroup",
        "jid",
        "name",
        "phoneNumber",
        "profilePicture",
        "pushName",
        "verifiedName",
    ];
    assert_eq!(fields(&shown), names);
    let of = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((of("name"), of("pushName"), of("phoneNumber")), ("Siti".into(), "Siti".into(), "6281200000001".into()));
    let group = program.group(&a, "6281200000001").await;
    let shown = done(&program.get(&format!("{path}/{group}")).await, "Contact details retrieved successfully");
    assert_eq!((&shown["name"], &shown["isGroup"], &shown["jid"]), (&json!("Trip"), &json!(true), &json!(group)));

    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let offline = made["instanceId"].as_str().unwrap();
    for (path, status, code) in [
        ("/api/contacts/x".to_owned(), 404, "SESSION_NOT_FOUND"),
        (format!("/api/contacts/{offline}"), 400, "NOT_CONNECTED"),
        (format!("/api/contacts/{offline}/export"), 400, "NOT_CONNECTED"),
        ("/api/contacts/x/y".to_owned(), 404, "SESSION_NOT_FOUND"),
        (format!("/api/contacts/{offline}/y"), 400, "NOT_CONNECTED"),
        (format!("{path}/y"), 400, "INVALID_JID"),
        (format!("{path}/6281200000001"), 400, "INVALID_JID"),
        (format!("{path}/x@s.whatsapp.net"), 400, "INVALID_JID"),
        (format!("{path}/status@broadcast"), 400, "INVALID_JID"),
        (format!("{path}/{STRANGER}@s.whatsapp.net"), 404, "CONTACT_NOT_FOUND"),
        (format!("{path}/120363999999999999@g.us"), 404, "CONTACT_NOT_FOUND"),
    ] {
        refused(&program.get(&path).await, status, code);
    }
    let missing = program.get(&format!("{path}/6281200000001@s.whatsapp.net/mutual-groups")).await;
    assert_eq!((missing.status.as_u16(), &missing.body["message"]), (404, &json!("Endpoint not found")));
}
