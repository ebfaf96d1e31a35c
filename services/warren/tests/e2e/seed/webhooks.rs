//! Of the later revision: where an instance's messages are posted to.

use super::{Program, done, fields, refused};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use warren_domain::webhook::Secret;
use warren_testkit::{Options, PATIENCE, eventually};

/// A receiver for as long as the test runs; it does not take the first post.
#[derive(Clone, Default)]
struct Receiver {
    posts: Arc<Mutex<Vec<Post>>>,
}

/// A post that came: its head in lower case, and its body.
#[derive(Clone)]
struct Post {
    head: String,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    async fn start() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (receiver, port) = (Self::default(), listener.local_addr().unwrap().port());
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(taking.clone().take(stream));
            }
        });
        (receiver, port)
    }

    async fn take(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let post = Post { head, body: body.to_owned() };
                let length: usize = post.header("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
                if body.len() >= length {
                    let is_first = {
                        let mut posts = self.posts.lock().unwrap();
                        posts.push(post);
                        posts.len() == 1
                    };
                    let status = if is_first { "503 Busy" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = (stream.write_all(answer.as_bytes()).await, stream.shutdown().await);
                    return;
                }
            }
            if !stream.read_buf(&mut request).await.is_ok_and(|count| count > 0) {
                return;
            }
        }
    }

    /// The posts, once there are so many.
    async fn posts(&self, count: usize) -> Vec<Post> {
        eventually("the posts", PATIENCE, async || {
            let posts = self.posts.lock().unwrap().clone();
            Ok((posts.len() >= count).then_some(posts))
        })
        .await
        .unwrap()
    }
}

/// What lets the test's receiver be posted to, and tries again soon.
fn allowing(port: u16) -> impl Fn(Options) -> Options {
    move |options| {
        options
            .env("WARREN_EGRESS__ALLOW_HTTP", "true")
            .env("WARREN_EGRESS__PORTS", &format!("[443, {port}]"))
            .env("WARREN_EGRESS__NETWORKS", "[\"127.0.0.1/32\"]")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instances_messages_are_posted_signed_and_in_order() {
    let (receiver, port) = Receiver::start().await;
    let program = Program::with(allowing(port)).await;
    let (a, b) = (program.pair().await, program.pair().await);
    let url = format!("http://127.0.0.1:{port}/wa-webhook");
    let path = format!("/api/instances/{}/webhook-setconfig", a.id);
    let set = json!({"url": url, "secret": "any text"});
    let data = done(&program.post(&path, set).await, "Webhook config updated");
    assert_eq!(data, json!({"instanceId": a.id, "webhookUrl": url, "secret": "any text"}));

    let person = program.stage.simulator.person(json!({"name": "Siti"})).await.unwrap();
    program.stage.simulator.write(&person.phone, &b.phone, "to another", 1).await.unwrap();
    let text = json!({"to": person.phone, "message": "own"});
    done(&program.post(&format!("/api/send/{}", a.id), text).await, "Message sent successfully");
    for text in ["one", "two", "three"] {
        program.stage.simulator.write(&person.phone, &a.phone, text, 1).await.unwrap();
    }
    // The first is tried again, and the others wait for it.
    let posts = receiver.posts(4).await;
    let words: Vec<_> = posts.iter().map(|post| post.json()["data"]["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(words, ["one", "one", "two", "three"]);
    assert_eq!((&posts[0].body, posts[0].header("webhook-id")), (&posts[1].body, posts[1].header("webhook-id")));
    for post in &posts {
        let secret = Secret::of_text("any text");
        assert_eq!(post.header("x-sudevwa-signature"), Some(secret.hex_signature(post.body.as_bytes()).as_str()));
        assert_eq!(post.header("content-type"), Some("application/json"));
        assert!(post.header("webhook-signature").is_none());
        let body = post.json();
        assert_eq!((fields(&body), &body["event"]), (vec!["data", "event", "timestamp"], &json!("incoming_message")));
        let data = &body["data"];
        assert_eq!(
            fields(data),
            ["from", "from_me", "instance_id", "is_group", "message", "message_id", "push_name", "timestamp"]
        );
        assert_eq!((&data["instance_id"], &data["push_name"]), (&json!(a.id), &json!("Siti")));
        assert!(data["from"].as_str().unwrap().starts_with(&person.phone), "{data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_replaced_removed_and_seen_at_v1() {
    let program = Program::begin().await;
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let id = made["instanceId"].as_str().unwrap();
    let path = format!("/api/instances/{id}/webhook-setconfig");
    let set = async |body: Value| done(&program.post(&path, body).await, "Webhook config updated");
    let first = set(json!({"url": "https://one.example.com/hook"})).await;
    let secret = first["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "one was made");
    // Without one it stays, as in the seed.
    let second = set(json!({"url": "https://two.example.com/hook", "secret": ""})).await;
    assert_eq!(second, json!({"instanceId": id, "webhookUrl": "https://two.example.com/hook", "secret": secret}));

    let listed = program.stage.api.get("/v1/webhooks").await.unwrap();
    let shown = &listed.body["data"][0];
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!((&shown["format"], &shown["url"]), (&json!("seed"), &second["webhookUrl"]));
    assert_eq!(shown["instances"], json!([id]));
    assert!(!listed.text.contains(&secret));
    let ours = format!("/v1/webhooks/{}", shown["id"].as_str().unwrap());
    let api = &program.stage.api;
    let change = async |body: Value| api.request(reqwest::Method::PATCH, &ours, Some(&body), &[]).await.unwrap();
    assert_eq!(change(json!({"enabled": false})).await.body["enabled"], false);
    for body in [json!({"events": []}), json!({"instances": []})] {
        let refused = change(body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "seed_webhook"));
    }
    let tried = api.post(&format!("{ours}/test"), &json!({"type": "message.status"})).await.unwrap();
    assert_eq!((tried.status.as_u16(), &tried.body["field"]), (422, &json!("type")), "{}", tried.text);
    let replaced = api.post(&format!("{ours}/secret"), &json!({})).await.unwrap();
    assert_eq!((replaced.status.as_u16(), replaced.code()), (409, "seed_webhook"));
    // Set again, it is posted to again.
    set(json!({"url": "https://two.example.com/hook", "secret": "another"})).await;
    assert_eq!(api.get(&ours).await.unwrap().body["enabled"], true);

    let nothing = set(json!({"url": ""})).await;
    assert_eq!(nothing, json!({"instanceId": id, "webhookUrl": "", "secret": ""}));
    assert_eq!(api.get(&ours).await.unwrap().status, 404);
    set(json!({"url": "", "secret": "x"})).await;
    let again = set(json!({"url": "https://one.example.com/hook"})).await;
    assert_ne!(again["secret"], json!(secret));
    done(&program.delete(&format!("/api/instances/{id}")).await, "Instance deleted successfully");
    assert_eq!(api.get("/v1/webhooks").await.unwrap().body["data"], json!([]), "it went with its instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_webhook_is_told_in_order() {
    let program = Program::begin().await;
    let made = done(&program.post("/api/login", json!({"kelompok": "x"})).await, "Instance created, QR code required");
    let id = made["instanceId"].as_str().unwrap();
    let url = "https://hooks.example.com/";
    for (instance, body, status, code) in [
        ("x", json!("x"), 400, "INVALID_REQUEST"),
        ("x", json!({"url": 7}), 400, "INVALID_REQUEST"),
        ("x", json!({}), 400, "VALIDATION_ERROR"),
        ("x", json!({"url": url, "secret": "x".repeat(257)}), 400, "VALIDATION_ERROR"),
        ("x", json!({"url": "ftp://hooks.example.com/"}), 400, "INVALID_URL"),
        ("x", json!({"url": "hooks.example.com"}), 400, "INVALID_URL"),
        ("x", json!({"url": "https://127.0.0.1/"}), 400, "INVALID_URL"),
        ("x", json!({"url": "https://[::1]/"}), 400, "INVALID_URL"),
        ("x", json!({"url": url}), 404, "INSTANCE_NOT_FOUND"),
        ("0192f0c1a2b37d4e8f90a1b2c3d4e5ff", json!({"url": ""}), 404, "INSTANCE_NOT_FOUND"),
    ] {
        refused(&program.post(&format!("/api/instances/{instance}/webhook-setconfig"), body).await, status, code);
    }
    assert_eq!(program.stage.api.get("/v1/webhooks").await.unwrap().body["data"], json!([]));
    let good = json!({"url": url});
    done(&program.post(&format!("/api/instances/{id}/webhook-setconfig"), good).await, "Webhook config updated");
}
