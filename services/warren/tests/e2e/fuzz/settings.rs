//! What schemathesis cannot know: ids that exist, what is left out and why.

use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use warren_testkit::{Draft, PATIENCE, Stage, eventually};

/// Where the hooks note what was answered.
pub(super) const ANSWERS: &str = "answers.tsv";

/// Every request is one of its own: a key that was used for another body would only ever be refused for that. What is answered
/// is noted, and what cannot be asked is not.
pub(super) const HOOKS: &str = r#"
import itertools, re, schemathesis

numbers = itertools.count()
answers = open("answers.tsv", "a", buffering=1)

@schemathesis.hook
def filter_case(context, case):
    # A form has no way to write an empty list: the field would be left out, and what is left be a good request.
    form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (form and [] in case.body.values())

@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
        case.headers["Idempotency-Key"] = f"{key}-{next(numbers)}"

@schemathesis.hook
def after_call(context, case, response):
    answers.write(f"{case.operation.label}\t{response.status_code}\n")
"#;

/// What exists when the requests begin.
pub(super) struct Scene {
    /// Paired, and online all the time.
    pub(super) instance: String,
    phone: String,
    person: String,
    sent: String,
    received: String,
    group: String,
    invite: String,
    media: String,
    link: BTreeMap<String, String>,
    tenant: String,
    /// Never paired.
    new: String,
    /// Paired, and what is done to its connection disturbs nobody.
    spare: String,
    /// With a proxy.
    proxied: String,
    /// Nobody answers there: what it wants waits to be tried again.
    webhook: String,
    replay: String,
    doomed: Doomed,
}

/// What is there to be deleted, or left.
struct Doomed {
    paired: String,
    instance: String,
    media: String,
    group: String,
    tenant: String,
    webhook: String,
}

impl Scene {
    /// Makes everything.
    pub(super) async fn set(stage: &Stage) -> Self {
        let instance = stage.pair("fuzzed").await.unwrap();
        let person = stage.simulator.person(json!({})).await.unwrap().phone;
        let shown = json!({"about": "hello", "picture": "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="});
        let profile = format!("/people/{person}/profile");
        let shown = stage.simulator.request(Method::PATCH, &profile, Some(&shown)).await.unwrap();
        assert!(shown.status.is_success(), "{}", shown.text);
        let sent = stage.api.send(&instance.id, &Draft::text(&person, "hello").wait()).await.unwrap().id;
        stage.simulator.write(&person, &instance.phone, "hello", 1).await.unwrap();
        let received = eventually("a received message", PATIENCE, async || {
            let path = format!("/v1/instances/{}/messages?direction=inbound", instance.id);
            Ok(stage.api.get(&path).await?.body["data"][0]["id"].as_str().map(str::to_owned))
        });
        let received = received.await.unwrap();
        let elsewhere = json!({"subject": "somebody else's", "owner": person});
        let elsewhere = stage.simulator.request(Method::POST, "/groups", Some(&elsewhere)).await.unwrap();
        let media = upload(stage).await;
        let link = stage.api.post(&format!("/v1/media/{media}/links"), &json!({})).await.unwrap();
        let link = reqwest::Url::parse("http://warren").unwrap().join(link.body["url"].as_str().unwrap()).unwrap();
        let webhook = webhook(stage).await;
        let replayed = json!({"from": "begin"});
        let replay = stage.api.post(&format!("/v1/webhooks/{webhook}/replay"), &replayed).await.unwrap();
        let proxied = json!({"proxy": {"url": "http://127.0.0.1:1"}});
        Self {
            group: group(stage, &instance.id, &person).await,
            invite: elsewhere.body["invite_code"].as_str().unwrap().to_owned(),
            link: link.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            tenant: tenant(stage).await,
            new: stage.api.create_instance("new").await.unwrap().id,
            spare: stage.pair("spare").await.unwrap().id,
            proxied: stage.api.post("/v1/instances", &proxied).await.unwrap().body["id"].as_str().unwrap().to_owned(),
            replay: replay.body["id"].as_str().unwrap().to_owned(),
            doomed: Doomed {
                paired: stage.pair("to be logged out").await.unwrap().id,
                instance: stage.api.create_instance("to be deleted").await.unwrap().id,
                media: upload(stage).await,
                group: group(stage, &instance.id, &person).await,
                tenant: tenant(stage).await,
                webhook: self::webhook(stage).await,
            },
            webhook,
            instance: instance.id,
            phone: instance.phone,
            person,
            sent,
            received,
            media,
        }
    }

    /// The settings for a caller with this key.
    pub(super) fn settings(&self, key: &str) -> String {
        let Self { instance, phone, person, sent, received, group, invite, media, link, tenant, webhook, replay, .. } = self;
        let Self { new, spare, proxied, doomed, .. } = self;
        format!(
            r#"
request-timeout = 65
hooks = "hooks.py"
suppress-health-check = ["all"]

[auth.openapi.bearer]
bearer = "{key}"

[generation]
# A path ends at a NUL for the client that sends it.
allow-x00 = false
# What a request without a key or with a wrong one is answered says nothing else: the check `ignored_auth` asks it once of
# every operation, and `document.rs` without one.
with-security-parameters = false

[checks.positive_data_acceptance]
# Besides the usual ones: 422 for what a schema cannot say (a number's country code, an emoji, an answer to a message that is
# not there), 410 for an old cursor, 429 for limits, 408 never. Nor 400: what follows the schema is well-formed.
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "422", "426", "429"]

[dictionaries]
people = {{ values = ["{person}", "+{person}", "{person}@s.whatsapp.net", "{group}"] }}
emojis = {{ values = ["👍", "❤️", ""] }}
invites = {{ values = ["{invite}"] }}
files = {{ values = ["{media}"] }}
messages = {{ values = ["{sent}", "{received}"] }}
expiries = {{ values = [{expires}] }}
signatures = {{ values = ["{signature}"] }}

[parameters]
"path.instance" = "{instance}"
"path.message" = "{sent}"
"path.phone" = "{phone}"
"path.chat" = "{person}"
"path.contact" = "{person}"
"path.group" = "{group}"
"path.media" = "{media}"
"path.tenant" = "{tenant}"
"path.webhook" = "{webhook}"
"path.replay" = "{replay}"
# What is made up at random is hardly ever one of those.
"path.code" = {{ dictionary = "invites", probability = 0.5 }}
"body.code" = {{ dictionary = "invites", probability = 0.5 }}
"body.to" = {{ dictionary = "people", probability = 0.8 }}
"body.participants[*]" = {{ dictionary = "people", probability = 0.8 }}
"body.phones[*]" = {{ dictionary = "people", probability = 0.8 }}
"body.emoji" = {{ dictionary = "emojis", probability = 0.8 }}
"body.document.id" = {{ dictionary = "files", probability = 0.8 }}
"body.reply_to" = {{ dictionary = "messages", probability = 0.8 }}

[[operations]]
include-operation-id = "markRead"
parameters = {{ "path.message" = "{received}" }}

# The connection is needed by the others. A change of the proxy ends it, too.
[[operations]]
include-operation-id = ["connectInstance", "disconnectInstance", "restartInstance", "updateInstance"]
parameters = {{ "path.instance" = "{spare}" }}

# A pairing that was cancelled is still there, and says so; one by code has no QR code.
[[operations]]
include-operation-id = ["startPairing", "readPairing", "cancelPairing", "pairingQrPng", "pairingQrSvg"]
parameters = {{ "path.instance" = "{new}" }}
checks = {{ use_after_free = {{ enabled = false }}, ensure_resource_availability = {{ enabled = false }} }}

[[operations]]
include-operation-id = "checkProxy"
parameters = {{ "path.instance" = "{proxied}" }}

[[operations]]
include-operation-id = "downloadLinkedMedia"
[operations.parameters]
"query.expires" = {{ dictionary = "expiries", probability = 0.8 }}
"query.signature" = {{ dictionary = "signatures", probability = 0.8 }}

# A message that was taken back is still there, and says so.
[[operations]]
include-path-regex = "^/v1/messages/"
checks = {{ use_after_free = {{ enabled = false }} }}

# What is deleted is gone for the others: each has one thing to delete, not what the request before has made. (Of several
# blocks that name an operation, the parameters of the first that has some count.)
[[operations]]
include-operation-id = ["deleteTenant", "deleteMedia", "deleteWebhook", "deleteInstance", "cancelReplay", "leaveGroup"]
checks = {{ ensure_resource_availability = {{ enabled = false }} }}

[[operations]]
include-operation-id = ["deleteTenant", "deleteMedia", "deleteWebhook", "leaveGroup"]
[operations.parameters]
"path.tenant" = "{doomed_tenant}"
"path.media" = "{doomed_media}"
"path.webhook" = "{doomed_webhook}"
"path.group" = "{doomed_group}"

[[operations]]
include-operation-id = "deleteInstance"
parameters = {{ "path.instance" = "{doomed_instance}" }}

[[operations]]
include-operation-id = "logoutInstance"
parameters = {{ "path.instance" = "{doomed_paired}" }}

# A stream has no end: its handshake and its refusals have tests of their own.
[[operations]]
include-operation-id = "streamEvents"
enabled = false
"#,
            expires = link["expires"],
            signature = link["signature"],
            doomed_tenant = doomed.tenant,
            doomed_media = doomed.media,
            doomed_group = doomed.group,
            doomed_instance = doomed.instance,
            doomed_paired = doomed.paired,
            doomed_webhook = doomed.webhook,
        )
    }
}

async fn upload(stage: &Stage) -> String {
    let file = b"--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nfuzzed\r\n--edge--\r\n";
    let made = stage.api.post_raw("/v1/media", "multipart/form-data; boundary=edge", file.to_vec()).await.unwrap();
    made.body["id"].as_str().unwrap().to_owned()
}

async fn group(stage: &Stage, instance: &str, person: &str) -> String {
    let asked = json!({"subject": "fuzzed", "participants": [person]});
    let made = stage.api.post(&format!("/v1/instances/{instance}/groups"), &asked).await.unwrap();
    made.body["id"].as_str().unwrap().to_owned()
}

async fn webhook(stage: &Stage) -> String {
    let made = stage.api.post("/v1/webhooks", &json!({"url": "https://127.0.0.1:8443/"})).await.unwrap();
    made.body["id"].as_str().unwrap_or_else(|| panic!("{}", made.text)).to_owned()
}

async fn tenant(stage: &Stage) -> String {
    let made = stage.warren.admin().unwrap().post("/v1/tenants", &json!({"name": "fuzzed"})).await.unwrap();
    made.body["id"].as_str().unwrap().to_owned()
}
