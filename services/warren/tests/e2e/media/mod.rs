//! Messages that carry files: what one side sends, the other side has, byte for byte.

mod group;
pub(crate) mod links;
mod received;
mod sent;

use crate::binary;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use warren_testkit::{Event, Options, PATIENCE, Paired, Person, Stage, eventually};

/// The kinds of files, by the names of the API and of the simulator.
const KINDS: [(&str, &str); 6] = [
    ("image", "image"),
    ("video", "video"),
    ("audio", "audio"),
    ("audio", "voice"),
    ("document", "document"),
    ("sticker", "sticker"),
];

/// An instance and a person.
struct Desk {
    stage: Stage,
    instance: Paired,
    person: Person,
}

impl Desk {
    async fn open() -> Self {
        Self::with(|options| options).await
    }

    async fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let stage = Stage::start_with(binary(), change).await.unwrap();
        let instance = stage.pair("a").await.unwrap();
        let person = stage.simulator.person(json!({})).await.unwrap();
        Self { stage, instance, person }
    }

    /// Sends a file here; what is said of it.
    async fn upload(&self, name: &str, mime_type: &str, bytes: &[u8]) -> Value {
        upload(&self.stage, name, mime_type, bytes).await
    }

    /// Accepts a message of this kind; the message.
    async fn send(&self, to: &str, kind: &str, file: Value) -> Value {
        let body = json!({"to": to, "type": kind, kind: file});
        let path = format!("/v1/instances/{}/messages", self.instance.id);
        let answer = self.stage.api.post(&path, &body).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.body
    }

    async fn inbox(&self, phone: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/people/{phone}/inbox?from={}&limit=100", self.instance.phone);
        let inbox = self.stage.simulator.request(Method::GET, &path, None).await?.body;
        Ok(inbox["messages"].as_array().cloned().unwrap_or_default())
    }

    /// What the person sees of a message, once its phone has the file.
    async fn seen(&self, message: &Value) -> Value {
        let id = message["whatsapp_id"].as_str().unwrap();
        eventually("the person has the file", PATIENCE, async || {
            let found = self.inbox(&self.person.phone).await?.into_iter().find(|message| message["id"] == id);
            Ok(found.filter(|message| message["media"]["state"] != "pending"))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.stage.warren.last_lines(20)))
    }

    /// The message once it failed.
    async fn failed(&self, message: &Value) -> Value {
        let path = format!("/v1/messages/{}", message["id"].as_str().unwrap());
        eventually("the message fails", PATIENCE, async || {
            let message = self.stage.api.get(&path).await?.body;
            anyhow::ensure!(message["status"] == "failed", "it is {}", message["status"]);
            Ok(Some(message))
        })
        .await
        .unwrap()
    }

    /// What is known of a file.
    async fn info(&self, media: &str) -> Value {
        self.stage.api.get(&format!("/v1/media/{media}/info")).await.unwrap().body
    }

    /// The person sends a message; its id at WhatsApp, and what the simulator says of its file.
    async fn hears(&self, message: Value) -> (String, Value) {
        let body = json!({"to": self.instance.phone, "message": message});
        let path = format!("/people/{}/send", self.person.phone);
        let answer = self.stage.simulator.request(Method::POST, &path, Some(&body)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        let sent = &answer.body["messages"][0];
        (sent["id"].as_str().unwrap().to_owned(), sent["media"].clone())
    }

    /// The first event of a kind that fits.
    async fn event(&self, kind: &str, fits: impl Fn(&Event) -> bool) -> Event {
        eventually(kind, PATIENCE, async || {
            let log = self.stage.api.events(&self.instance.id).await?;
            Ok(log.into_iter().find(|event| event.kind == kind && fits(event)))
        })
        .await
        .unwrap()
    }

    /// The bytes of a file.
    async fn bytes(&self, media: &str) -> Vec<u8> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}/v1/media/{media}", self.stage.api.base())).bearer_auth(self.stage.api.key());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().to_vec()
    }

    /// How many files are in the object store, half-written ones included.
    fn kept(&self) -> usize {
        let mut folders = vec![self.stage.warren.media_folder()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { folders.push(entry) } else { count += 1 }
            }
        }
        count
    }

    /// What goes wrong at the simulator's media host.
    async fn trouble(&self, change: Value) {
        let answer = self.stage.simulator.request(Method::POST, "/media/trouble", Some(&change)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
    }
}

/// Sends a file to Warren; what is said of it.
pub(super) async fn upload(stage: &Stage, name: &str, mime_type: &str, bytes: &[u8]) -> Value {
    let mut form = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {mime_type}\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(bytes);
    form.extend_from_slice(b"\r\n--edge--\r\n");
    let answer = stage.api.post_raw("/v1/media", "multipart/form-data; boundary=edge", form).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.body
}

/// A file that begins as one of its kind, and goes on for some bytes.
pub(crate) fn file(kind: &str, length: usize) -> Vec<u8> {
    let mut bytes = match kind {
        "image" => b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0\0\0\0\0\0\0\0\0IDAT".to_vec(),
        "video" => b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec(),
        "audio" | "voice" => {
            let mut ogg = b"OggS".to_vec();
            ogg.resize(28, 0);
            ogg.extend_from_slice(b"OpusHead");
            ogg
        }
        "sticker" => b"RIFF\0\0\x10\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x01\0\xff\x01\0".to_vec(),
        _ => b"%PDF-1.7\n".to_vec(),
    };
    bytes.extend((0..length).map(|place| u8::try_from(place * 31 % 251).unwrap()));
    bytes
}

fn mime_type(kind: &str) -> &'static str {
    match kind {
        "image" => "image/png",
        "video" => "video/mp4",
        "audio" | "voice" => "audio/ogg; codecs=opus",
        "sticker" => "image/webp",
        _ => "application/pdf",
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
