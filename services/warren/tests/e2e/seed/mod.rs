//! The seed's own contract, row by row: what programs that were written for it send, and what they are answered.

mod article;
mod contacts;
mod files;
mod limits;
mod sends;
mod sessions;
mod sockets;
mod trouble;
mod webhooks;

use crate::binary;
use reqwest::{Method, multipart};
use serde_json::{Value, json};
use warren_testkit::{Answer, Api, Backend, Options, PATIENCE, Paired, Socket, Stage, eventually};

const USERNAME: &str = "budi";
const PASSWORD: &str = "canary-password-4471";
const SECRET: &str = "canary-secret-of-32-characters-4471";
/// A number that has no account.
const STRANGER: &str = "4915112345678";

/// A program of the seed: logged in, with instances that it made itself.
struct Program {
    stage: Stage,
    token: String,
}

/// The surface's settings, without limits that tests would meet.
fn surface(options: Options) -> Options {
    options
        .env("WARREN_SEED_USERNAME", USERNAME)
        .env("WARREN_SEED_PASSWORD", PASSWORD)
        .env("WARREN_SEED_JWT_SECRET", SECRET)
        .env("WARREN_SEED__REQUESTS_PER_SECOND", "1000")
        .env("WARREN_SEED__BURST", "1000")
}

impl Program {
    async fn begin() -> Self {
        Self::with(|options| options).await
    }

    /// The same with changed options. Standalone has a default tenant; a cluster is told which one, once there is one.
    async fn with(change: impl Fn(Options) -> Options) -> Self {
        let stage = match Backend::of_environment() {
            Backend::Standalone => Stage::start_with(binary(), |options| change(surface(options))).await.unwrap(),
            Backend::Cluster => {
                let mut stage = Stage::start_with(binary(), &change).await.unwrap();
                let tenants = stage.warren.admin().unwrap().get("/v1/tenants").await.unwrap().body;
                let tenant = tenants["data"][0]["id"].as_str().unwrap().to_owned();
                let settings = |options| change(surface(options).env("WARREN_SEED_TENANT", &tenant));
                stage.restart_with(settings).await.unwrap();
                stage
            }
        };
        let mut program = Self { stage, token: String::new() };
        let answer = program.post("/login-jwt", json!({"username": USERNAME, "password": PASSWORD})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        program.token = answer.body["token"].as_str().unwrap().to_owned();
        program
    }

    fn api(&self) -> Api {
        self.stage.api.with_key(&self.token)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.api().request(method, path, body.as_ref(), &[]).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// What is answered to a form.
    async fn form(&self, path: &str, form: multipart::Form) -> Answer {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{path}", self.stage.api.base());
        let response = client.post(url).bearer_auth(&self.token).multipart(form).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    async fn socket(&self, path: &str) -> Socket {
        self.try_socket(path).await.unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    async fn try_socket(&self, path: &str) -> Result<Socket, (u16, Value)> {
        let url = format!("{}{path}", self.stage.api.base());
        Socket::open(&url, &[("authorization", &format!("Bearer {}", self.token))]).await.unwrap()
    }

    /// Makes an instance as the article does: log in, ask for a code, scan it; waits until it is online.
    async fn pair(&self) -> Paired {
        let made = done(&self.post("/api/login", json!({"kelompok": "sales"})).await, "Instance created, QR code required");
        let id = made["instanceId"].as_str().unwrap().to_owned();
        let phone = self.scan(&id).await;
        Paired { id, phone }
    }

    async fn scan(&self, id: &str) -> String {
        done(&self.get(&format!("/api/qr/{id}")).await, "QR generation started");
        let qr = self.stage.qr(id).await.unwrap();
        let phone = self.stage.simulator.scan(&qr, None).await.unwrap().phone;
        self.stage.state(id, "online").await.unwrap();
        phone
    }

    /// A group that the instance makes.
    async fn group(&self, instance: &Paired, member: &str) -> String {
        let body = json!({"subject": "Trip", "participants": [member]});
        let made = self.stage.api.post(&format!("/v1/instances/{}/groups", instance.id), &body).await.unwrap();
        assert!(made.status.is_success(), "{}", made.text);
        made.body.pointer("/id").or(made.body.pointer("/group/id")).unwrap().as_str().unwrap().to_owned()
    }

    /// The texts that a person got from an instance, once there are so many.
    async fn texts(&self, person: &str, from: &str, count: usize) -> Vec<String> {
        eventually("the texts", PATIENCE, async || {
            let inbox = self.stage.simulator.inbox(person, from).await?;
            let texts: Vec<_> = inbox.messages.into_iter().filter_map(|message| message.text).collect();
            Ok((texts.len() >= count).then_some(texts))
        })
        .await
        .unwrap()
    }
}

/// A success in the envelope, with these words; its data.
#[track_caller]
fn done(answer: &Answer, message: &str) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["success"], true, "{}", answer.text);
    assert_eq!(answer.body["message"], message, "{}", answer.text);
    answer.body["data"].clone()
}

/// A refusal in the envelope, with this status and code.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body["error"]["code"]), (status, &json!(code)), "{}", answer.text);
    assert_eq!(answer.body["success"], false);
    assert!(answer.body["message"].is_string(), "{}", answer.text);
}

/// Which fields an object has.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
