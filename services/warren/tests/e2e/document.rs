//! What `/openapi.json` says is true: every example of a request is sent to the running binary, and what comes back is what
//! the document says, by status, type and schema.

use crate::{binary, stage};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};
use warren_testkit::{Answer, Api, Draft, Options, PATIENCE, Paired, Stage, eventually};

/// Whom the examples write to, and who writes in them.
const PERSON: &str = "628123456789";
const SENDER: &str = "628111111111";
/// The group and the invite that they speak of.
const GROUP: &str = "120363041234567890@g.us";
const INVITE: &str = "GhB4pTqZ7mK1dR9sWx2LcV";
/// The receiver that they speak of, and one that is nowhere; the event.
const HOOK: &str = "https://hooks.example.com/warren";
const NOWHERE: &str = "https://127.0.0.1/hook";
const EVENT: &str = "evt_0192f0c1a2b37d4e8f90a1b2c3d4e57a";
/// What ends the connection that others need: on an instance of its own.
const DISTURBING: [&str; 5] =
    ["connectInstance", "disconnectInstance", "restartInstance", "logoutInstance", "deleteInstance"];

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_answered_as_documented() {
    let scene = Scene::begin().await;
    let document = scene.document.clone();
    let mut sent = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let operation = Operation { path, method, it: operation };
            for body in operation.examples() {
                let answer = scene.send(&operation, body.as_ref()).await;
                scene.check(&operation, &answer);
                assert!(answer.status.is_success() || answer.status == 101, "{}: {}", operation.name(), answer.text);
                sent += 1;
            }
            scene.refuses_strangers(&operation).await;
        }
    }
    assert!(sent > 30, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_an_answer_is_of_its_schema() {
    let stage = stage().await;
    let document = document(&stage.api).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut checked = 0;
    for (name, schema) in schemas {
        for example in schema["examples"].as_array().into_iter().flatten() {
            let wrong = errors(&document, schema, example);
            assert!(wrong.is_empty(), "{name}: {wrong:?}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
    let message = json!({"$ref": "#/components/schemas/Message"});
    let mut damaged = schemas["Message"]["examples"][0].clone();
    damaged["text"]["body"] = json!(7);
    assert!(!errors(&document, &message, &damaged).is_empty());
}

#[test]
#[should_panic(expected = "post /x has no example")]
fn an_operation_without_an_example_fails() {
    let it = json!({"operationId": "x", "requestBody": {"content": {"application/json": {"schema": {}}}}});
    Operation { path: "/x", method: "post", it: &it }.examples();
}

async fn document(api: &Api) -> Value {
    let answer = api.with_key("").get("/openapi.json").await.unwrap();
    assert_eq!(answer.status, 200);
    answer.body
}

/// What is wrong with a value, by a schema of the document.
fn errors(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": document["components"],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&root).unwrap();
    validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect()
}

/// One method of one path.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    it: &'a Value,
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn id(&self) -> &str {
        self.it["operationId"].as_str().unwrap()
    }

    /// The bodies to send: the examples, or none where it takes none.
    fn examples(&self) -> Vec<Option<Value>> {
        let Some(request) = self.it.get("requestBody") else { return vec![None] };
        let media = request["content"].as_object().unwrap().values().next().unwrap_or(&Value::Null);
        let one = media.get("example").cloned();
        let several = media["examples"].as_object().into_iter().flatten().map(|(_, example)| example["value"].clone());
        let examples: Vec<_> = one.into_iter().chain(several).map(Some).collect();
        assert!(!examples.is_empty(), "{} has no example", self.name());
        examples
    }

    fn parameters(&self, place: &'static str) -> impl Iterator<Item = &Value> {
        let all = self.it["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    /// Whether it speaks of this, in its path or in an example.
    fn speaks_of(&self, what: &str) -> bool {
        self.path.contains(what)
            || self.it["parameters"].to_string().contains(what)
            || self.it["requestBody"].to_string().contains(what)
    }

    fn is_upload(&self) -> bool {
        self.it["requestBody"]["content"].get("multipart/form-data").is_some()
    }

    fn is_mutation(&self) -> bool {
        self.it["parameters"].to_string().contains("IdempotencyKey")
    }
}

/// A running Warren with everything that the examples speak of.
struct Scene {
    stage: Stage,
    document: Value,
    sender: Paired,
    keys: AtomicU32,
}

impl Scene {
    async fn begin() -> Self {
        // A proxy may be on this machine.
        let local = |options: Options| options.env("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#);
        let stage = Stage::start_with(binary(), local).await.unwrap();
        let document = document(&stage.api).await;
        stage.simulator.person(json!({"phone": PERSON})).await.unwrap();
        let picture = json!({"about": "hello", "picture": "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="});
        let profile = format!("/people/{PERSON}/profile");
        let set = stage.simulator.request(Method::PATCH, &profile, Some(&picture)).await.unwrap();
        assert!(set.status.is_success(), "{}", set.text);
        let id = stage.api.create_instance("sender").await.unwrap().id;
        let phone = stage.pair_as(&id, Some(SENDER)).await.unwrap();
        // WhatsApp shows nobody without a name, and the phone tells it some time after the pairing.
        let name = json!({"push_name": "Examples"});
        let named =
            stage.api.request(Method::PATCH, &format!("/v1/instances/{id}/profile"), Some(&name), &[]).await.unwrap();
        assert!(named.status.is_success(), "{}", named.text);
        Self { stage, document, sender: Paired { id, phone }, keys: AtomicU32::new(0) }
    }

    /// The example of a kind of id, as the document has it.
    fn example(&self, kind: &str) -> String {
        let example = &self.document["components"]["schemas"][kind]["examples"][0];
        example.as_str().unwrap_or_else(|| panic!("{kind} has no example")).to_owned()
    }

    /// What the ids in the examples of an operation stand for here.
    async fn meaning(&self, operation: &Operation<'_>) -> BTreeMap<String, String> {
        let mut meaning = BTreeMap::from([(self.example("InstanceId"), self.instance(operation).await)]);
        let names: Vec<_> = operation.parameters("path").filter_map(|parameter| parameter["name"].as_str()).collect();
        if names.contains(&"message") {
            meaning.insert(self.example("MessageId"), self.message(operation).await);
        }
        let media = self.example("MediaId");
        if names.contains(&"media") || operation.speaks_of(&media) {
            let uploaded = self.upload(&json!({"file": "the bytes"}), "").await;
            meaning.insert(media, uploaded.body["id"].as_str().unwrap().to_owned());
        }
        if operation.speaks_of(GROUP) {
            let asked = json!({"subject": "made for an example", "participants": [PERSON]});
            let path = format!("/v1/instances/{}/groups", self.sender.id);
            let made = self.stage.api.post(&path, &asked).await.unwrap();
            assert_eq!(made.status, 201, "{}", made.text);
            meaning.insert(GROUP.to_owned(), made.body["id"].as_str().unwrap().to_owned());
        }
        if operation.speaks_of(INVITE) {
            let asked = json!({"subject": "somebody else's", "owner": PERSON});
            let made = self.stage.simulator.request(Method::POST, "/groups", Some(&asked)).await.unwrap();
            meaning.insert(INVITE.to_owned(), made.body["invite_code"].as_str().unwrap().to_owned());
        }
        if names.contains(&"webhook") {
            // Nobody works on it: a replay stays under way.
            let webhook = self.made("/v1/webhooks", &json!({"url": NOWHERE, "enabled": false})).await;
            if names.contains(&"replay") {
                let replay = self.made(&format!("/v1/webhooks/{webhook}/replay"), &json!({"from": "begin"})).await;
                meaning.insert(self.example("ReplayId"), replay);
            }
            meaning.insert(self.example("WebhookId"), webhook);
        }
        if operation.speaks_of(HOOK) {
            meaning.insert(HOOK.to_owned(), NOWHERE.to_owned());
        }
        if operation.speaks_of(EVENT) {
            let events = self.stage.api.get("/v1/events?limit=1").await.unwrap();
            meaning.insert(EVENT.to_owned(), events.body["data"][0]["id"].as_str().unwrap().to_owned());
        }
        if names.contains(&"tenant") {
            let admin = self.stage.warren.admin().unwrap();
            let made = async |path: &str| {
                let made = admin.post(path, &json!({"name": "made for an example"})).await.unwrap();
                made.body["id"].as_str().unwrap().to_owned()
            };
            let tenant = made("/v1/tenants").await;
            meaning.insert(self.example("KeyId"), made(&format!("/v1/tenants/{tenant}/keys")).await);
            meaning.insert(self.example("TenantId"), tenant);
        }
        meaning
    }

    /// The id of something that is made.
    async fn made(&self, path: &str, body: &Value) -> String {
        let made = self.stage.api.post(path, body).await.unwrap();
        assert!(made.status.is_success(), "{}", made.text);
        made.body["id"].as_str().unwrap().to_owned()
    }

    async fn instance(&self, operation: &Operation<'_>) -> String {
        if operation.id() == "checkProxy" {
            let proxied = json!({"proxy": {"url": "http://127.0.0.1:1"}});
            let made = self.stage.api.post("/v1/instances", &proxied).await.unwrap();
            return made.body["id"].as_str().unwrap().to_owned();
        }
        if DISTURBING.contains(&operation.id()) {
            return self.stage.pair("spare").await.unwrap().id;
        }
        if operation.path.contains("/pairing") {
            let id = self.stage.api.create_instance("new").await.unwrap().id;
            if operation.id() != "startPairing" {
                self.stage.api.start_pairing(&id).await.unwrap();
                self.stage.qr(&id).await.unwrap();
            }
            return id;
        }
        self.sender.id.clone()
    }

    /// A message that this can be done to.
    async fn message(&self, operation: &Operation<'_>) -> String {
        if operation.id() != "markRead" {
            return self.stage.api.send(&self.sender.id, &Draft::text(PERSON, "to be changed").wait()).await.unwrap().id;
        }
        self.stage.simulator.write(PERSON, &self.sender.phone, "to be read", 1).await.unwrap();
        eventually("a received message", PATIENCE, async || {
            let path = format!("/v1/instances/{}/messages?direction=inbound", self.sender.id);
            Ok(self.stage.api.get(&path).await?.body["data"][0]["id"].as_str().map(str::to_owned))
        })
        .await
        .unwrap()
    }

    fn caller(&self, operation: &Operation<'_>) -> Api {
        if operation.it["security"] == json!([{}]) {
            return self.stage.api.with_key("");
        }
        let is_operators = ["tenants", "keys"].iter().any(|tag| operation.it["tags"][0] == *tag);
        if is_operators { self.stage.warren.admin().unwrap() } else { self.stage.api.clone() }
    }

    /// Sends an example; a mutation twice with one key, which must be answered alike.
    async fn send(&self, operation: &Operation<'_>, body: Option<&Value>) -> Answer {
        let meaning = self.meaning(operation).await;
        let path = match operation.id() {
            "downloadLinkedMedia" => self.link(&meaning[&self.example("MediaId")]).await,
            _ => path(&self.document, operation, &meaning),
        };
        let body = body.map(|body| mean(body, &meaning));
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
        let api = self.caller(operation);
        let key = format!("example-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        if operation.is_upload() {
            return self.upload(&body.unwrap(), &key).await;
        }
        let headers = headers(operation, key);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = api.request(method.clone(), &path, body.as_ref(), &headers).await.unwrap();
        if operation.is_mutation() {
            let again = api.request(method, &path, body.as_ref(), &headers).await.unwrap();
            assert_eq!(again.status, answer.status, "{}: {}", operation.name(), again.text);
            assert!(again.headers.contains_key("idempotent-replayed"), "{}: {}", operation.name(), again.text);
            self.check(operation, &again);
        }
        answer
    }

    /// Sends a file as a form.
    async fn upload(&self, form: &Value, key: &str) -> Answer {
        let file = Part::text(form["file"].as_str().unwrap().to_owned()).file_name("example.txt").mime_str("text/plain");
        let mut fields = Form::new();
        if let Some(kind) = form["type"].as_str() {
            fields = fields.text("type", kind.to_owned());
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/v1/media", self.stage.api.base())).bearer_auth(self.stage.api.key());
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        let response = request.multipart(fields.part("file", file.unwrap())).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(status, 201, "{text}");
        Answer { status, headers, text, body }
    }

    /// A link to a file, as the API writes it.
    async fn link(&self, media: &str) -> String {
        let made = self.stage.api.post(&format!("/v1/media/{media}/links"), &json!({})).await.unwrap();
        made.body["url"].as_str().unwrap().to_owned()
    }

    /// The answer is one of those that the document names.
    fn check(&self, operation: &Operation<'_>, answer: &Answer) {
        let name = format!("{} -> {}", operation.name(), answer.status.as_u16());
        let documented = operation.it["responses"].get(answer.status.as_str());
        let documented = documented.unwrap_or_else(|| panic!("{name} is not documented: {}", answer.text));
        let documented = match documented["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => documented,
        };
        assert!(answer.headers.contains_key("x-request-id"), "{name}");
        let Some(content) = documented.get("content") else {
            assert!(answer.text.is_empty(), "{name}: {}", answer.text);
            return;
        };
        let kind = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
        let media =
            content.get(kind).or_else(|| content.get("*/*")).unwrap_or_else(|| panic!("{name}: {kind} is not documented"));
        if kind.ends_with("json") {
            let wrong = errors(&self.document, &media["schema"], &answer.body);
            assert!(wrong.is_empty(), "{name}: {wrong:?} in {}", answer.text);
        }
    }

    /// Without a key everything but the service is 401, and that is documented, too.
    async fn refuses_strangers(&self, operation: &Operation<'_>) {
        if operation.it["security"] == json!([{}]) {
            return;
        }
        let path = path(&self.document, operation, &BTreeMap::new());
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
        let answer = self.stage.api.with_key("").request(method, &path, None, &[]).await.unwrap();
        assert_eq!(answer.status, 401, "{}", operation.name());
        self.check(operation, &answer);
    }
}

/// The path with its parameters, and the parameters of the query that have an example.
fn path(document: &Value, operation: &Operation<'_>, meaning: &BTreeMap<String, String>) -> String {
    let mut path = operation.path.to_owned();
    for parameter in operation.parameters("path") {
        let name = parameter["name"].as_str().unwrap();
        let of_schema = || {
            let schema = document.pointer(parameter["schema"]["$ref"].as_str()?.trim_start_matches('#'))?;
            schema["examples"][0].as_str()
        };
        let example = parameter["example"].as_str().or_else(of_schema);
        let example = example.unwrap_or_else(|| panic!("{} has no example of {name}", operation.name()));
        path = path.replace(&format!("{{{name}}}"), example);
    }
    for (kind, value) in meaning {
        path = path.replace(kind, value);
    }
    let query: Vec<_> = operation
        .parameters("query")
        .filter_map(|parameter| Some(format!("{}={}", parameter["name"].as_str()?, parameter["example"].as_str()?)))
        .collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// An example with what its ids stand for.
fn mean(example: &Value, meaning: &BTreeMap<String, String>) -> Value {
    match example {
        Value::String(text) => meaning.get(text).unwrap_or(text).as_str().into(),
        Value::Array(items) => items.iter().map(|item| mean(item, meaning)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), mean(value, meaning))).collect(),
        other => other.clone(),
    }
}

fn headers(operation: &Operation<'_>, key: String) -> Vec<(&'static str, String)> {
    if operation.is_mutation() {
        return vec![("idempotency-key", key)];
    }
    let is_stream = operation.it["responses"].get("101").is_some();
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    handshake.into_iter().filter(|_| is_stream).map(|(name, value)| (name, value.to_owned())).collect()
}
