//! Rows 16, 17, 19, 20, 24, 25, 27 and 28: files, sent with the request and behind links.

use super::{Program, STRANGER, done, fields, refused};
use crate::media::{file, links};
use reqwest::multipart::{Form, Part};
use serde_json::json;

fn part(name: &str, bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).file_name(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_16_20_24_and_27_files_with_the_request() {
    let program = Program::begin().await;
    let a = program.pair().await;
    let person = program.stage.simulator.person(json!({})).await.unwrap();
    let group = program.group(&a, &person.phone).await;
    let send = format!("/api/send/{}/media", a.id);
    for (name, kind, media_type) in [
        ("a.png", "image", "image"),
        ("a.mp4", "video", "video"),
        ("a.ogg", "audio", "audio"),
        ("a.pdf", "document", "document"),
        // What no client of WhatsApp's shows as a picture.
        ("a.webp", "sticker", "document"),
    ] {
        let bytes = file(kind, 50_000);
        let length = bytes.len();
        let form = Form::new().text("to", person.phone.clone()).text("caption", "look").part("file", part(name, bytes));
        let data = done(&program.form(&send, form).await, "Media sent successfully");
        assert_eq!(fields(&data), ["fileName", "fileSize", "mediaType", "messageId", "timestamp", "to", "verified"]);
        assert_eq!(
            (&data["mediaType"], &data["fileName"], &data["fileSize"]),
            (&json!(media_type), &json!(name), &json!(length))
        );
    }
    // The file may come first; by number; to a group.
    let picture = || part("a.png", file("image", 1_000));
    let form = Form::new().part("file", picture()).text("to", person.phone.clone());
    let data = done(&program.form(&format!("/api/by-number/{}/media-file", a.phone), form).await, "Media sent successfully");
    assert_eq!((&data["from"], &data["mediaType"]), (&json!(a.phone), &json!("image")));
    let form = || Form::new().text("groupJid", group.clone()).part("file", picture());
    let data = done(&program.form(&format!("/api/send-group/{}/media", a.id), form()).await, "Media sent to group");
    assert_eq!(fields(&data), ["fileName", "fileSize", "groupJid", "mediaType", "messageId", "timestamp"]);
    let path = format!("/api/send-group/by-number/{}/media", a.phone);
    assert_eq!(done(&program.form(&path, form()).await, "Media sent to group")["from"], json!(a.phone));
    in_order(&program, &a.id, &person.phone).await;
}

async fn in_order(program: &Program, id: &str, person: &str) {
    let to = |number: &str| Form::new().text("to", number.to_owned());
    let large = || part("a.png", file("image", 5 * 1024 * 1024 + 1));
    let small = || part("a.png", file("image", 10));
    for (sender, form, status, code) in [
        ("x", Form::new().part("file", small()), 400, "VALIDATION_ERROR"),
        ("x", to("x").part("file", small()), 404, "SESSION_NOT_FOUND"),
        (id, to("x").part("file", large()), 400, "INVALID_PHONE"),
        (id, to(STRANGER).part("file", small()), 400, "PHONE_NOT_REGISTERED"),
        (id, to(person), 400, "FILE_REQUIRED"),
        (id, to(person).part("file", large()), 400, "FILE_TOO_LARGE"),
        (id, to(person).part("file", part("a.png", Vec::new())), 500, "FILE_READ_FAILED"),
    ] {
        refused(&program.form(&format!("/api/send/{sender}/media"), form).await, status, code);
    }
    refused(&program.post(&format!("/api/send/{id}/media"), json!({"to": person})).await, 400, "VALIDATION_ERROR");
    let group = Form::new().text("groupJid", "628123@s.whatsapp.net").part("file", small());
    refused(&program.form(&format!("/api/send-group/{id}/media"), group).await, 400, "NOT_GROUP_JID");
    let group = Form::new().text("groupJid", "x").part("file", small());
    refused(&program.form("/api/send-group/by-number/6281999999999/media", group).await, 404, "NO_ACTIVE_INSTANCE");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_17_19_25_and_28_files_behind_links() {
    let server = links::server().await;
    let allowed = server.clone();
    let program = Program::with(move |options| links::allowing(&allowed)(options)).await;
    let a = program.pair().await;
    let person = program.stage.simulator.person(json!({})).await.unwrap();
    let group = program.group(&a, &person.phone).await;
    let link = |path: &str| format!("http://{server}/{path}");
    let send = format!("/api/send/{}/media-url", a.id);
    for kind in ["image", "video", "audio", "document"] {
        let body = json!({"to": person.phone, "mediaUrl": link(kind), "caption": "look", "mediaType": kind});
        let data = done(&program.post(&send, body).await, "Media sent successfully");
        assert_eq!(fields(&data), ["fileName", "fileSize", "mediaType", "messageId", "timestamp", "to", "verified"]);
        assert_eq!((&data["mediaType"], &data["fileSize"]), (&json!(kind), &json!(file(kind, 300_000).len())));
    }
    let body = json!({"to": person.phone, "mediaUrl": link("document")});
    let data = done(&program.post(&format!("/api/by-number/{}/media-url", a.phone), body).await, "Media sent successfully");
    assert_eq!((&data["from"], &data["mediaType"]), (&json!(a.phone), &json!("document")));
    let body = json!({"groupJid": group, "mediaUrl": link("image"), "mediaType": "image"});
    let data =
        done(&program.post(&format!("/api/send-group/{}/media-url", a.id), body.clone()).await, "Media sent to group");
    assert_eq!(fields(&data), ["fileName", "fileSize", "groupJid", "mediaType", "messageId", "timestamp"]);
    let by_number = format!("/api/send-group/by-number/{}/media-url", a.phone);
    assert_eq!(done(&program.post(&by_number, body).await, "Media sent to group")["from"], json!(a.phone));

    let to = |number: &str, url: &str, kind: &str| json!({"to": number, "mediaUrl": url, "mediaType": kind});
    for (path, body, status, code) in [
        ("/api/send/x/media-url", json!("x"), 400, "INVALID_REQUEST"),
        ("/api/send/x/media-url", json!({"to": "x"}), 400, "VALIDATION_ERROR"),
        ("/api/send/x/media-url", to("x", "x", "hologram"), 400, "VALIDATION_ERROR"),
        ("/api/send/x/media-url", to("x", "x", "image"), 404, "SESSION_NOT_FOUND"),
        ("/api/by-number/6281999999999/media-url", to("x", "x", "image"), 404, "NO_ACTIVE_INSTANCE"),
        (&send, to("x", "x", "image"), 400, "INVALID_PHONE"),
        (&send, to(STRANGER, "x", "image"), 400, "PHONE_NOT_REGISTERED"),
        (&send, to(&person.phone, "x", "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, "file:///etc/passwd", "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, "http://169.254.169.254/latest/meta-data/", "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, "http://10.0.0.1/a.png", "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, &link("redirect"), "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, &link("missing"), "image"), 500, "DOWNLOAD_FAILED"),
        (&send, to(&person.phone, &link("endless"), "image"), 400, "FILE_TOO_LARGE"),
        (&send, to(&person.phone, &link("html"), "image"), 500, "UPLOAD_FAILED"),
    ] {
        refused(&program.post(path, body).await, status, code);
    }
}
