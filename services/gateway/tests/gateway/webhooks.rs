//! Webhooks as tenants make, watch and try them; rows 7, 8, 9, 43 to 47, 52, 54, 62 and 63 of the bad inputs. What is delivered
//! is tested where the dispatcher is.

use crate::{
    messages::online,
    support::{Gateway, Tenant, until},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use warren_domain::webhook::{Attempt, DeadLetter, DeliveryFailure, Secret, Secrets, Standing};
use warren_domain::{DispatcherId, Event, EventId, EventType, InstanceId, TenantId, Timestamp, WebhookId};
use warren_egress::Policy;
use warren_gateway::Options;
use warren_ports::ledger::{Claiming, Deliveries as _, Events as _, Progress, Webhooks as _};

const URL: &str = "https://hooks.example.com/warren?key=abc";

async fn made(gateway: &Gateway, tenant: &Tenant, mut body: Value) -> Value {
    if body["url"].is_null() {
        body["url"] = json!(URL);
    }
    gateway.post("/v1/webhooks", &tenant.key, body).await.is(201)
}

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

#[tokio::test]
async fn webhooks_are_made_listed_changed_and_deleted() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let key = &tenant.key;
    let instance = worker.instance.to_string();
    let body = json!({
        "url": URL, "events": ["message.status", "message.received", "message.status"], "instances": [instance, instance],
        "description": "orders", "headers": {"Authorization": "Bearer canary"}, "after": "begin",
    });
    let answer = gateway.post("/v1/webhooks", key, body).await;
    let location = answer.header("location").unwrap().to_owned();
    let webhook = answer.is(201);
    assert_eq!(location, path(&webhook));
    assert!(webhook["secret"].as_str().unwrap().starts_with("whsec_"));
    let mut shown = webhook.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(gateway.get(&location, key).await.is(200), shown);
    assert_eq!(shown["url"], URL);
    assert_eq!(shown["events"], json!(["message.received", "message.status"]));
    assert_eq!(shown["instances"], json!([instance]));
    assert_eq!(shown["headers"], json!({"Authorization": "***"}));
    assert_eq!((&shown["enabled"], &shown["disabled_reason"]), (&json!(true), &Value::Null));
    let begin = gateway.get("/v1/events?after=begin&limit=1", key).await.is(200);
    assert_ne!(shown["cursor"], begin["next_cursor"]);

    let change = json!({"events": [], "instances": [], "description": null, "headers": {}, "enabled": false});
    let changed = gateway.patch(&location, key, change).await.is(200);
    assert_eq!((&changed["events"], &changed["instances"], &changed["headers"]), (&json!([]), &json!([]), &json!({})));
    assert_eq!((&changed["description"], &changed["disabled_reason"]), (&Value::Null, &json!("paused")));
    assert_eq!((&changed["url"], &changed["cursor"]), (&shown["url"], &shown["cursor"]));
    let moved = gateway.patch(&location, key, json!({"enabled": true, "after": "now"})).await.is(200);
    assert_eq!((&moved["enabled"], &moved["disabled_reason"]), (&json!(true), &Value::Null));
    assert_ne!(moved["cursor"], shown["cursor"]);

    for _ in 0..3 {
        made(&gateway, &tenant, json!({})).await;
    }
    let first = gateway.get("/v1/webhooks?limit=3", key).await.is(200);
    assert_eq!((first["data"].as_array().unwrap().len(), &first["data"][0]), (3, &moved));
    let rest = format!("/v1/webhooks?limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = gateway.get(&rest, key).await.is(200);
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    assert!(!format!("{first}{rest}{moved}").contains("whsec_") && !format!("{first}{rest}").contains("canary"));

    gateway.delete(&location, key).await.is(204);
    gateway.get(&location, key).await.is_problem(404, "not_found");
    gateway.delete(&location, key).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_new_webhook_begins_where_it_is_told() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    worker.receive("one").await;
    let events = gateway.get("/v1/events", &tenant.key).await.is(200);
    let (first, last) = (&events["data"][0], events["data"].as_array().unwrap().last().unwrap());
    let cursor = async |after: &Value| made(&gateway, &tenant, json!({"after": after})).await["cursor"].clone();
    assert_eq!(cursor(&first["cursor"]).await, first["cursor"]);
    assert_eq!(cursor(&first["id"]).await, first["cursor"]);
    assert_eq!(cursor(&json!("now")).await, last["cursor"]);
    assert_eq!(made(&gateway, &tenant, json!({})).await["cursor"], last["cursor"]);
    let begin = cursor(&json!("begin")).await;
    let all = gateway.get(&format!("/v1/events?after={}", begin.as_str().unwrap()), &tenant.key).await.is(200);
    assert_eq!(all["data"], events["data"]);
    for (after, status, code) in [
        (json!("garbage"), 422, "invalid_cursor"),
        (json!(EventId::generate().to_string()), 410, "cursor_expired"),
        (json!("AQAAAAAAAAABAAAAAAAAACo"), 410, "cursor_expired"),
    ] {
        let body = json!({"url": URL, "after": after});
        gateway.post("/v1/webhooks", &tenant.key, body).await.is_problem(status, code);
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_replaced() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let body = json!({"url": URL});
    let first = gateway.post_once("/v1/webhooks", &tenant.key, "k1", body.clone()).await.is(201);
    let replay = gateway.post_once("/v1/webhooks", &tenant.key, "k1", body).await.is(201);
    assert_eq!((&replay["id"], &replay["secret"]), (&first["id"], &Value::Null));
    assert!(replay["secret_withheld"].as_str().unwrap().contains("once"));

    let rotate = format!("{}/secret", path(&first));
    let second = gateway.post_once(&rotate, &tenant.key, "k2", json!({})).await.is(200);
    assert_ne!(second["secret"], first["secret"]);
    let until = second["former_secret_until"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let hours = (until.as_millis() - gateway.now().as_millis()) / 3_600_000;
    assert!((23..=24).contains(&hours), "{hours}");
    assert_eq!(gateway.post_once(&rotate, &tenant.key, "k2", json!({})).await.is(200)["secret"], Value::Null);
    let own = Secret::generate();
    let third = gateway.post(&rotate, &tenant.key, json!({"secret": own.reveal()})).await.is(200);
    assert_eq!(third["secret"], own.reveal());
    let id: WebhookId = first["id"].as_str().unwrap().parse().unwrap();
    let stored = gateway.ledger.webhook(tenant.id.parse().unwrap(), id).await.unwrap().unwrap();
    let former = stored.secrets.former.unwrap();
    assert_eq!((stored.secrets.current, former.secret.reveal()), (own, second["secret"].as_str().unwrap()));
    gateway.post("/v1/webhooks/x/secret", &tenant.key, json!({})).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_tenant_has_at_most_a_hundred() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    for _ in 0..100 {
        made(&gateway, &tenant, json!({})).await;
    }
    let answer = gateway.post("/v1/webhooks", &tenant.key, json!({"url": URL})).await;
    answer.is_problem(429, "webhook_limit");
}

#[tokio::test]
async fn rows_7_and_8_of_whom_it_is_and_what_a_key_may() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    let stranger = gateway.tenant().await;
    let webhook = path(&made(&gateway, &tenant, json!({})).await);
    let nobody = format!("/v1/webhooks/{}", WebhookId::generate());
    for (method, below) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/secret"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("GET", "/dead-letters"),
        ("GET", "/replays"),
        ("DELETE", "/replays/0192f0c1a2b37d4e8f90a1b2c3d4e59c"),
    ] {
        for (path, key) in [(&webhook, &stranger.key), (&nobody, &tenant.key)] {
            gateway.call(method, &format!("{path}{below}"), key, &[], "").await.is_problem(404, "not_found");
        }
        gateway.call(method, &format!("{webhook}{below}"), "", &[], "").await.is_problem(401, "unauthenticated");
    }
    gateway
        .post(&format!("{webhook}/replay"), &stranger.key, json!({"dead_letters": true}))
        .await
        .is_problem(404, "not_found");
    // Another tenant's instance is as unknown as one that there is not.
    for instance in [worker.instance, InstanceId::generate()] {
        let body = json!({"url": URL, "instances": [instance]});
        gateway.post("/v1/webhooks", &stranger.key, body).await.is_problem(404, "unknown_instance");
    }
    assert_eq!(gateway.get("/v1/webhooks", &stranger.key).await.is(200)["data"], json!([]));

    let reader = gateway.key(&tenant.id, json!({"name": "r", "scopes": ["read"]})).await;
    gateway.get(&webhook, &reader).await.is(200);
    gateway.get(&format!("{webhook}/deliveries"), &reader).await.is(200);
    for (method, below) in [("PATCH", ""), ("DELETE", ""), ("POST", "/secret"), ("POST", "/test"), ("POST", "/replay")] {
        let answer = gateway.call(method, &format!("{webhook}{below}"), &reader, &[], "{}").await;
        answer.is_problem(403, "insufficient_scope");
    }
    gateway.post("/v1/webhooks", &reader, json!({"url": URL})).await.is_problem(403, "insufficient_scope");
}

/// Rows 43 to 47, 52 and 54: where nothing may be posted to, by the URL alone.
#[tokio::test]
async fn rows_43_to_54_addresses() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let webhook = path(&made(&gateway, &tenant, json!({})).await);
    for url in [
        "http://hooks.example.com/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
        "https://localhost:6379/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://0.0.0.0/",
        "https://0x7f000001/",
        "https://api.default.svc.cluster.local/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://[64:ff9b::a00:1]/",
        "https://hooks.example.com:22/",
        "https://user:password@hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "ftp://hooks.example.com/",
        "data:text/plain,x",
        "https://hooks.example.com/\r\nHost: x",
        "https://hooks.example.com/%0d%0aHost:%20x",
        "hooks.example.com",
        "",
        &format!("https://hooks.example.com/{}", "x".repeat(2_048)),
    ] {
        for answer in [
            gateway.post("/v1/webhooks", &tenant.key, json!({"url": url})).await,
            gateway.patch(&webhook, &tenant.key, json!({"url": url})).await,
        ] {
            answer.is_problem(422, "url_not_allowed");
            assert_eq!(answer.json()["field"], "url");
            assert!(url.len() < 5 || !String::from_utf8_lossy(&answer.body).contains(url), "nothing is repeated");
        }
    }
    assert_eq!(gateway.get("/v1/webhooks", &tenant.key).await.is(200)["data"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.get(&webhook, &tenant.key).await.is(200)["url"], URL);
}

#[tokio::test]
async fn row_54_headers() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    for (name, value) in [
        ("Host", "x"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("webhook-id", "x"),
        ("Webhook-Signature", "v1,x"),
        ("Content-Type", "text/plain"),
        ("content-encoding", "gzip"),
        ("X-A\r\nHost", "x"),
        ("X-A", "x\r\nHost: canary"),
        ("X-A", "canary\u{e9}"),
        ("", "x"),
    ] {
        let body = json!({"url": URL, "headers": {name: value}});
        let answer = gateway.post("/v1/webhooks", &tenant.key, body).await;
        answer.is_problem(422, "header_not_allowed");
        assert_eq!(answer.json()["field"], "headers");
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    }
    let many: serde_json::Map<String, Value> = (0..40).map(|number| (format!("X-{number}"), json!("x"))).collect();
    let answer = gateway.post("/v1/webhooks", &tenant.key, json!({"url": URL, "headers": many})).await;
    answer.is_problem(422, "header_not_allowed");
    assert_eq!(gateway.get("/v1/webhooks", &tenant.key).await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn row_62_our_own_address() {
    let policy = Policy { own_hosts: vec!["api.warren.example".to_owned(), "203.0.113.7".to_owned()], ..Policy::default() };
    let gateway = Gateway::reaching(Options::default(), policy).await;
    let tenant = gateway.tenant().await;
    for url in ["https://api.warren.example/v1/messages", "https://API.Warren.Example.:443/", "https://203.0.113.7/"] {
        gateway.post("/v1/webhooks", &tenant.key, json!({"url": url})).await.is_problem(422, "url_not_allowed");
    }
    made(&gateway, &tenant, json!({})).await;
}

#[tokio::test]
async fn row_63_secrets() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let webhook = path(&made(&gateway, &tenant, json!({})).await);
    for secret in
        ["secret", "canary", "whsec_", "whsec_c2VjcmV0", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "whsec_not-base64!"]
    {
        for answer in [
            gateway.post("/v1/webhooks", &tenant.key, json!({"url": URL, "secret": secret})).await,
            gateway.post(&format!("{webhook}/secret"), &tenant.key, json!({"secret": secret})).await,
        ] {
            answer.is_problem(422, "invalid_request");
            assert_eq!(answer.json()["field"], "secret");
            assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
        }
    }
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(made(&gateway, &tenant, json!({"secret": given})).await["secret"], given);
}

#[tokio::test]
async fn row_9_and_other_nonsense() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let webhook = path(&made(&gateway, &tenant, json!({})).await);
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": 7}), "url"),
        (json!({"url": URL, "tenant_id": "x"}), "tenant_id"),
        (json!({"url": URL, "events": ["message.exploded"]}), "events[0]"),
        (json!({"url": URL, "events": ["chat.typing"]}), "events"),
        (json!({"url": URL, "instances": ["x"]}), "instances[0]"),
        (json!({"url": URL, "description": "x".repeat(501)}), "description"),
        (json!({"url": URL, "description": "a\0b"}), "description"),
        (json!({"url": URL, "enabled": "yes"}), "enabled"),
        (json!({"url": URL, "headers": {"X-A": 7}}), "headers.X-A"),
    ] {
        let answer = gateway.post("/v1/webhooks", &tenant.key, body).await;
        answer.is_problem(422, "invalid_request");
        assert_eq!(answer.json()["field"], field);
    }
    let many: Vec<_> = (0..1_001).map(|_| InstanceId::generate()).collect();
    gateway.post("/v1/webhooks", &tenant.key, json!({"url": URL, "instances": many})).await.is_problem(422, "too_many");
    for query in ["limit=0", "cursor=x", "status=perhaps", "colour=1"] {
        gateway.get(&format!("{webhook}/deliveries?{query}"), &tenant.key).await.is_problem(422, "invalid_request");
    }
    gateway.get(&format!("{webhook}/dead-letters?cursor=7"), &tenant.key).await.is_problem(422, "invalid_request");
    gateway
        .post(&format!("{webhook}/test"), &tenant.key, json!({"type": "chat.typing"}))
        .await
        .is_problem(422, "invalid_request");
}

/// A server that answers one status to everything, and keeps what came.
async fn receiver(status: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let came = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 64 * 1024];
            let mut text = String::new();
            while !text.ends_with('}') {
                let count = stream.read(&mut bytes).await.unwrap();
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            came.lock().unwrap().push(text);
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    (port, seen)
}

/// A sample is posted at once, signed, and what came back is said.
#[tokio::test]
async fn a_webhook_is_tried() {
    for (status, delivered, failure) in [
        ("204 No Content", true, Value::Null),
        ("302 Found", false, json!("redirect")),
        ("500 Broken", false, json!("server_error")),
    ] {
        let (port, seen) = receiver(status).await;
        let networks = vec!["127.0.0.1/32".parse().unwrap()];
        let policy = Policy { plain_http: true, ports: vec![port], networks, ..Policy::default() };
        let gateway = Gateway::reaching(Options::default(), policy).await;
        let tenant = gateway.tenant().await;
        let url = format!("http://127.0.0.1:{port}/hook");
        let body = json!({"url": url, "events": ["message.reaction"], "headers": {"X-Own": "abc"}, "enabled": false});
        let webhook = made(&gateway, &tenant, body).await;
        let tried = gateway.post(&format!("{}/test", path(&webhook)), &tenant.key, json!({})).await.is(200);
        assert_eq!((&tried["delivered"], &tried["failure"]), (&json!(delivered), &failure));
        assert_eq!(tried["status"], status[..3].parse::<u16>().unwrap());
        let request = seen.lock().unwrap().remove(0);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).unwrap()
        };
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), tried["event"]);
        assert_eq!(
            (header("webhook-test"), header("x-own"), header("webhook-id")),
            ("true", "abc", tried["event"]["id"].as_str().unwrap())
        );
        assert_eq!((&tried["event"]["type"], &tried["event"]["cursor"]), (&json!("message.reaction"), &Value::Null));
        let secrets = Secrets::new(Secret::parse(webhook["secret"].as_str().unwrap()).unwrap());
        let at = Timestamp::from_millis(header("webhook-timestamp").parse::<i64>().unwrap() * 1_000);
        assert_eq!(header("webhook-signature"), secrets.signature(header("webhook-id"), at, body.as_bytes()));
        let typed = gateway.post(&format!("{}/test", path(&webhook)), &tenant.key, json!({"type": "message.status"})).await;
        assert_eq!(typed.is(200)["event"]["type"], "message.status");
    }
}

/// A dispatcher's records, without one.
struct Recorded<'a> {
    gateway: &'a Gateway,
    tenant: TenantId,
    progress: Progress,
}

impl<'a> Recorded<'a> {
    async fn new(gateway: &'a Gateway, tenant: &Tenant, webhook: &Value) -> Self {
        let claiming = Claiming { dispatcher: DispatcherId::generate(), ttl: Duration::from_secs(600), most: 100 };
        let taken = gateway.ledger.claim(claiming).await.unwrap().taken;
        let taken = taken.into_iter().find(|taken| webhook["id"] == taken.webhook.id.to_string()).unwrap();
        let progress = Progress {
            claim: taken.claim,
            flows: Vec::new(),
            attempts: Vec::new(),
            dead: Vec::new(),
            revived: Vec::new(),
            standing: Standing::default(),
            disable: None,
        };
        Self { gateway, tenant: tenant.id.parse().unwrap(), progress }
    }

    async fn record(self) {
        assert_eq!(self.gateway.ledger.record(vec![self.progress]).await.unwrap(), [true]);
    }

    fn event(&self, position: i64) -> Event {
        Event {
            id: EventId::generate(),
            seq: position,
            position,
            kind: EventType::PairingFailed,
            tenant: self.tenant,
            instance: InstanceId::generate(),
            occurred_at: Timestamp::from_millis(1_767_225_600_000),
            data: serde_json::Map::from_iter([("reason".to_owned(), json!("timed_out"))]),
        }
    }
}

#[tokio::test]
async fn attempts_and_dead_letters_are_listed() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let webhook = made(&gateway, &tenant, json!({})).await;
    let mut recorded = Recorded::new(&gateway, &tenant, &webhook).await;
    for number in 0..5 {
        let (event, failure) = (recorded.event(number + 1), (number % 2 == 0).then_some(DeliveryFailure::ServerError));
        let status = Some(if failure.is_some() { 503 } else { 204 });
        recorded.progress.attempts.push(Attempt {
            number: 0,
            event: event.id,
            kind: event.kind,
            instance: event.instance,
            tries: 2,
            status,
            failure,
            took_ms: 9,
            at: event.occurred_at,
            replay: false,
        });
        let failure = DeliveryFailure::ServerError;
        recorded.progress.dead.push(DeadLetter {
            event,
            tries: 8,
            status,
            failure,
            at: Timestamp::from_millis(1_767_225_700_000),
        });
    }
    recorded.record().await;
    let list = async |query: &str| gateway.get(&format!("{}/{query}", path(&webhook)), &tenant.key).await.is(200);
    let first = list("deliveries?limit=3").await;
    let rest = list(&format!("deliveries?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((first["data"].as_array().unwrap().len(), rest["data"].as_array().unwrap().len()), (3, 2));
    assert_eq!(rest["next_cursor"], Value::Null);
    let newest = &first["data"][0];
    assert_eq!(
        (&newest["succeeded"], &newest["status"], &newest["failure"]),
        (&json!(false), &json!(503), &json!("server_error"))
    );
    assert_eq!((&newest["attempt"], &newest["took_ms"], &newest["type"]), (&json!(2), &json!(9), &json!("pairing.failed")));
    assert_eq!(list("deliveries?status=failed").await["data"].as_array().unwrap().len(), 3);
    assert_eq!(list("deliveries?status=succeeded").await["data"].as_array().unwrap().len(), 2);

    let first = list("dead-letters?limit=4").await;
    let rest = list(&format!("dead-letters?limit=4&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    let letters: Vec<&Value> = first["data"].as_array().unwrap().iter().chain(rest["data"].as_array().unwrap()).collect();
    assert_eq!(letters.len(), 5);
    assert_eq!((&letters[0]["attempts"], &letters[0]["failure"]), (&json!(8), &json!("server_error")));
    let event = &letters[0]["event"];
    assert_eq!(
        (&event["seq"], &event["type"], &event["data"]),
        (&json!(1), &json!("pairing.failed"), &json!({"reason": "timed_out"}))
    );
}

#[tokio::test]
async fn replays_are_asked_for_listed_and_cancelled() {
    let gateway = Gateway::start().await;
    let (tenant, worker, _) = online(&gateway).await;
    worker.receive("one").await;
    worker.receive("two").await;
    let webhook = made(&gateway, &tenant, json!({})).await;
    let dead = {
        let mut recorded = Recorded::new(&gateway, &tenant, &webhook).await;
        let event = recorded.event(7_000);
        let failure = DeliveryFailure::TimedOut;
        let at = event.occurred_at;
        recorded.progress.dead.push(DeadLetter { event: event.clone(), tries: 8, status: None, failure, at });
        recorded.record().await;
        event.id.to_string()
    };
    let path = path(&webhook);
    let events = gateway.get("/v1/events", &tenant.key).await.is(200);
    let ids: Vec<&str> = events["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    let ask = async |body: Value| gateway.post(&format!("{path}/replay"), &tenant.key, body).await;

    let named = ask(json!({"event_ids": [dead, ids[1], ids[0], ids[1]]})).await.is(202);
    assert_eq!((&named["of"], &named["events"]), (&json!("events"), &json!(3)));
    let range = ask(json!({"from": "begin"})).await.is(202);
    let head = gateway.ledger.log_bounds().await.unwrap();
    assert_eq!((&range["of"], &range["events"]), (&json!("range"), &Value::Null));
    let end = warren_domain::event::Cursor { log: head.log, position: head.head };
    assert_eq!(range["to"], end.to_string());
    let between = ask(json!({"from": ids[0], "to": ids[1]})).await.is(202);
    assert_eq!((&between["cursor"], &between["to"]), (&events["data"][0]["cursor"], &events["data"][1]["cursor"]));
    let letters = ask(json!({"dead_letters": true})).await.is(202);
    assert_eq!(letters["of"], "dead_letters");

    let listed = gateway.get(&format!("{path}/replays"), &tenant.key).await.is(200);
    assert_eq!(listed["data"], json!([named, range, between, letters]));
    let one = format!("{path}/replays/{}", range["id"].as_str().unwrap());
    gateway.delete(&one, &tenant.key).await.is(204);
    gateway.delete(&one, &tenant.key).await.is_problem(404, "not_found");
    for _ in 0..7 {
        ask(json!({"from": "begin"})).await.is(202);
    }
    ask(json!({"from": "begin"})).await.is_problem(429, "replay_limit");

    for body in [
        json!({}),
        json!({"to": "now"}),
        json!({"dead_letters": false}),
        json!({"from": "begin", "dead_letters": true}),
        json!({"event_ids": [], "from": "begin"}),
        json!({"event_ids": []}),
        json!({"event_ids": vec![ids[0]; 1_001]}),
        json!({"from": ids[1], "to": ids[0]}),
    ] {
        ask(body).await.is_problem(422, "invalid_request");
    }
    for unknown in [EventId::generate().to_string(), "x".to_owned()] {
        let answer = ask(json!({"event_ids": [ids[0], unknown]})).await;
        answer.is_problem(404, "unknown_event");
        assert_eq!(answer.json()["field"], "event_ids[1]");
    }
    let answer = ask(json!({"from": "garbage"})).await;
    answer.is_problem(422, "invalid_cursor");
    assert_eq!(answer.json()["field"], "from");
    // Another tenant's event is as unknown as one that there is not.
    let (stranger, other, _) = online(&gateway).await;
    other.receive("three").await;
    let theirs = until("there is an event", async || {
        let events = gateway.get("/v1/events", &stranger.key).await.is(200);
        events["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    ask(json!({"event_ids": [theirs]})).await.is_problem(404, "unknown_event");
}
