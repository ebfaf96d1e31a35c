//! What strangers send, made up: whatever it is, the decoders answer, hold no more than came, and read back what is valid.
//!
//! One part an entry point: frames, nodes, stanzas, the handshake, the text of a QR code, the bodies of the admin API.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::node::{Attrs, NodeContent};
use wacore_binary::{Jid, Node};
use wacore_noise::IkHandshakeState;

use crate::noise::{self, Step};
use crate::pairing::QrCode;
use crate::splitter::Splitter;
use crate::trust::{self, Keys};
use crate::{Options, Simulator, admin, media, shape, wire};

/// Frames and stanzas of this test are at most so large.
const LIMIT: usize = 64 * 1024;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// Something valid with a few bytes changed, inserted, taken away, or all behind a place.
fn mutated(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (valid, vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..6)).prop_map(|(mut bytes, changes)| {
        for (place, byte, what) in changes {
            let place = place.index(bytes.len() + 1);
            match (what, bytes.get_mut(place)) {
                (0, Some(known)) => *known = byte,
                (1, Some(_)) => drop(bytes.remove(place)),
                (2, _) => bytes.truncate(place),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    })
}

mod frames {
    use super::*;

    /// As a client writes it: perhaps routing data, the header, frames.
    fn written(routing: Option<&[u8]>, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        let length = |frame: &[u8]| {
            let [.., high, middle, low] = frame.len().to_be_bytes();
            [high, middle, low]
        };
        if let Some(routing) = routing {
            out.extend_from_slice(b"ED\x00\x01");
            out.extend_from_slice(&length(routing));
            out.extend_from_slice(routing);
        }
        out.extend_from_slice(&WA_CONN_HEADER);
        for frame in frames {
            out.extend_from_slice(&length(frame));
            out.extend_from_slice(frame);
        }
        out
    }

    /// Pushes the bytes in pieces; the frames that came out, or that it was refused.
    fn read(bytes: &[u8], pieces: &[Index]) -> Option<Vec<Vec<u8>>> {
        let mut ends: Vec<usize> = pieces.iter().map(|piece| piece.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut splitter, mut begun, mut taken, mut frames) = (Splitter::default(), 0, false, Vec::new());
        for end in ends {
            splitter.push(&bytes[begun..end]);
            begun = end;
            if !taken {
                taken = splitter.header().ok()?;
            }
            while taken && let Some(frame) = splitter.frame(LIMIT).ok()? {
                assert!(frame.len() <= LIMIT);
                frames.push(frame.to_vec());
            }
        }
        Some(frames)
    }

    proptest! {
        #[test]
        fn come_out_as_they_went_in_however_they_are_cut(
            routing in proptest::option::of(bytes(300)), sent in vec(bytes(2_000), 0..8), pieces in vec(any::<Index>(), 0..20)
        ) {
            prop_assert_eq!(read(&written(routing.as_deref(), &sent), &pieces), Some(sent));
        }

        #[test]
        fn of_anything_are_no_more_than_came(sent in bytes(4_000), pieces in vec(any::<Index>(), 0..20)) {
            if let Some(frames) = read(&sent, &pieces) {
                prop_assert!(frames.iter().map(Vec::len).sum::<usize>() <= sent.len());
            }
        }

        #[test]
        fn changed_a_little_are_still_split_or_refused(
            sent in mutated(vec(bytes(200), 0..6).prop_map(|frames| written(Some(b"routing"), &frames))),
            pieces in vec(any::<Index>(), 0..20)
        ) {
            let _ = read(&sent, &pieces);
        }
    }

    #[test]
    fn over_the_limit_are_refused_before_they_are_there() {
        let mut splitter = Splitter::default();
        splitter.push(&WA_CONN_HEADER);
        assert_eq!(splitter.header(), Ok(true));
        splitter.push(&[0x01, 0x00, 0x01]);
        assert_eq!(splitter.frame(LIMIT), Err(crate::splitter::Error::TooLarge(LIMIT + 1)));
    }
}

mod nodes {
    use super::*;

    /// What the decoder does something with; most other bytes are words.
    const TOKENS: &[u8] = &[0, 1, 2, 7, 20, 236, 245, 246, 247, 248, 249, 250, 251, 252, 255];

    /// Without an @ in a text: the library writes such as addresses, and who reads an unknown server refuses the node.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("message".to_owned()),
            "[0-9.-]{1,20}",
            "[0-9A-F]{1,40}",
            "[^@\\pC]{0,40}",
            Just("6281100000001@s.whatsapp.net".to_owned()),
            Just("120363041234567890@g.us".to_owned()),
        ]
    }

    fn attributes() -> impl Strategy<Value = Attrs> {
        let name = prop_oneof![Just("id".to_owned()), Just("type".to_owned()), "[a-z_]{1,12}"];
        let jid = (1..u64::from(u32::MAX), 0..99_u16, any::<bool>()).prop_map(|(user, device, lid)| {
            let user = user.to_string();
            if lid { Jid::lid_device(user, device) } else { Jid::pn_device(user, device) }
        });
        let value = prop_oneof![value().prop_map(Ok), jid.prop_map(Err)];
        vec((name, value), 0..5).prop_map(|all| {
            let mut attributes = Attrs::new();
            for (name, value) in all {
                match value {
                    Ok(text) => attributes.insert(name, text),
                    Err(jid) => attributes.insert(name, jid),
                }
            }
            attributes
        })
    }

    fn node() -> impl Strategy<Value = Node> {
        let tag = || prop_oneof![Just("message".to_owned()), Just("iq".to_owned()), "[a-z:-]{1,16}"];
        let leaf = (tag(), attributes(), proptest::option::of(bytes(300)))
            .prop_map(|(tag, attributes, content)| Node::new(tag, attributes, content.map(NodeContent::Bytes)));
        leaf.prop_recursive(6, 40, 6, move |inner| {
            (tag(), attributes(), vec(inner, 1..6))
                .prop_map(|(tag, attributes, children)| Node::new(tag, attributes, Some(NodeContent::Nodes(children))))
        })
    }

    /// With the flag byte.
    fn encoded() -> impl Strategy<Value = Vec<u8>> {
        node().prop_map(|node| wacore_binary::marshal(&node).unwrap())
    }

    /// The look and the decoder agree: what the decoder takes passes the look, unless an address is the user of an address.
    fn agree(frame: &[u8]) {
        let Some(body) = frame.get(1..) else { return };
        let looked = shape::check(body);
        // Small enough for the decoder to follow whatever is nested.
        let decoded = wacore_binary::marshal::unmarshal_ref(body).is_ok();
        assert!(!decoded || matches!(looked, Ok(()) | Err(shape::Error::Deep)), "{looked:?}");
        let _ = wire::decode(BytesMut::from(frame), LIMIT);
    }

    proptest! {
        #[test]
        fn are_read_as_they_were_written(frame in encoded()) {
            let (node, body) = wire::decode(BytesMut::from(frame.as_slice()), LIMIT).unwrap();
            prop_assert_eq!(&body[..], &frame[1..]);
            prop_assert_eq!(wacore_binary::marshal(&node.get().to_owned()).unwrap(), frame);
        }

        #[test]
        fn changed_a_little_are_read_or_refused(frame in mutated(encoded())) {
            agree(&frame);
        }

        #[test]
        fn of_anything_are_read_or_refused(frame in bytes(3_000)) {
            agree(&frame);
        }

        /// Bytes that mean something to the decoder, where random ones end soon.
        #[test]
        fn of_tokens_alone_are_read_or_refused(body in vec(select(TOKENS), 0..600)) {
            agree(&[&[0][..], &body].concat());
        }

        #[test]
        fn that_claim_more_than_they_have_are_refused_unread(claimed in 2_000..u16::MAX, depth in 1..40_usize) {
            let [high, low] = claimed.to_be_bytes();
            let nested = [248, 2, 20, 249, high, low].repeat(depth);
            prop_assert_eq!(shape::check(&nested), Err(shape::Error::Truncated));
        }
    }

    #[test]
    fn nested_without_end_are_refused_and_not_followed() {
        let nodes = [248_u8, 2, 20, 248, 1].repeat(800_000);
        assert_eq!(shape::check(&nodes), Err(shape::Error::Deep));
        let addresses = [&[248_u8, 2, 20][..], &vec![250; 4_000_000]].concat();
        assert_eq!(shape::check(&addresses), Err(shape::Error::Deep));
    }

    #[test]
    fn of_too_many_parts_are_refused_whatever_they_inflate_to() {
        // A list of lists of empty nodes: three bytes each.
        let row = [&[248_u8, 2, 20, 249, 0xff, 0xff][..], &[248, 1, 20].repeat(0xffff)].concat();
        let body = [&[0_u8, 248, 2, 20, 248, 3][..], &row.repeat(3)].concat();
        let refused = wire::decode(BytesMut::from(body.as_slice()), 4 * 1024 * 1024);
        assert!(matches!(refused, Err(wire::Error::TooLarge(_))));
    }
}

/// What a linked client sends: stanzas whose words are known and whose sense is not.
mod stanzas {
    use super::*;
    use crate::account::{Account, Device};
    use crate::handset::Job;
    use crate::{iq, message, presence, receipt};

    const PHONES: [u64; 2] = [6_281_100_000_001, 6_281_100_000_002];
    const TAGS: &[&str] = &["iq", "iq", "iq", "message", "receipt", "ack", "presence", "chatstate", "ib", "call"];
    const NAMESPACES: &[&str] = &[
        "w:p",
        "passive",
        "encrypt",
        "usync",
        "w:sync:app:state",
        "md",
        "w:g2",
        "w:m",
        "w:profile:picture",
        "status",
        "w:biz",
        "w:mex",
        "newsletter",
        "abt",
        "blocklist",
        "privacy",
        "w",
        "urn:xmpp:whatsapp:dirty",
        "disappearing_mode",
    ];
    const CHILDREN: &[&str] = &[
        "active",
        "add",
        "approve",
        "body",
        "business_profile",
        "category",
        "collection",
        "composing",
        "contact",
        "count",
        "create",
        "demote",
        "description",
        "device-identity",
        "devices",
        "digest",
        "enc",
        "ephemeral",
        "group",
        "identity",
        "invite",
        "item",
        "key",
        "leave",
        "lid",
        "link",
        "linked_groups",
        "linked_parent",
        "list",
        "media_conn",
        "member_add_mode",
        "membership_approval_mode",
        "messages",
        "meta",
        "newsletter",
        "parent",
        "participant",
        "participants",
        "patch",
        "picture",
        "plaintext",
        "privacy",
        "promote",
        "props",
        "query",
        "reaction",
        "registration",
        "reject",
        "remove",
        "retry",
        "rotate",
        "signature",
        "size",
        "skey",
        "status",
        "subject",
        "sync",
        "text",
        "to",
        "token",
        "tokens",
        "type",
        "unlink",
        "user",
        "usync",
        "value",
        "version",
    ];
    const NAMES: &[&str] = &[
        "action",
        "addressing_mode",
        "category",
        "class",
        "code",
        "count",
        "duration",
        "edit",
        "error",
        "expiration",
        "from",
        "id",
        "index",
        "jid",
        "last",
        "link_type",
        "mediatype",
        "mode",
        "name",
        "order",
        "participant",
        "phash",
        "phone_number",
        "prev",
        "query_id",
        "reason",
        "recipient",
        "return_snapshot",
        "server_id",
        "sid",
        "state",
        "t",
        "to",
        "trigger",
        "type",
        "url",
        "v",
        "val",
        "value",
        "version",
    ];
    const VALUES: &[&str] = &[
        "",
        "0",
        "1",
        "18446744073709551616",
        "-1",
        "true",
        "get",
        "set",
        "result",
        "error",
        "text",
        "media",
        "read",
        "retry",
        "sender",
        "inactive",
        "server-error",
        "peer",
        "msg",
        "pkmsg",
        "skmsg",
        "image",
        "preview",
        "regular_low",
        "critical_block",
        "available",
        "unavailable",
        "subscribe",
        "composing",
        "7",
        "8",
        "status@broadcast",
        "1@g.us",
        "120363000000000001@g.us",
        "6281100000001@s.whatsapp.net",
        "6281100000002@s.whatsapp.net",
        "6281100000002:1@s.whatsapp.net",
        "1@lid",
        "1@newsletter",
        "s.whatsapp.net",
        "nobody",
    ];

    fn attributes() -> impl Strategy<Value = Attrs> {
        vec((select(NAMES), select(VALUES)), 0..6).prop_map(|all| {
            let mut attributes = Attrs::new();
            all.into_iter().for_each(|(name, value)| attributes.insert(name, value));
            attributes
        })
    }

    fn child() -> impl Strategy<Value = Node> {
        let text = select(vec![r#"{"variables":{"input":{"key":"1@newsletter"}}}"#, "{}", "[[", "hello"]);
        let content = prop_oneof![
            Just(None),
            bytes(60).prop_map(|bytes| Some(NodeContent::Bytes(bytes))),
            text.prop_map(|text| Some(NodeContent::Bytes(text.as_bytes().to_vec()))),
            select(vec![3, 4, 32, 33, 64]).prop_map(|size| Some(NodeContent::Bytes(vec![5; size]))),
        ];
        let leaf = (select(CHILDREN), attributes(), content)
            .prop_map(|(tag, attributes, content)| Node::new(tag, attributes, content));
        leaf.prop_recursive(4, 20, 4, |inner| {
            (select(CHILDREN), attributes(), vec(inner, 1..4))
                .prop_map(|(tag, attributes, children)| Node::new(tag, attributes, Some(NodeContent::Nodes(children))))
        })
    }

    fn stanza() -> impl Strategy<Value = Node> {
        let head = (select(TAGS), select(NAMESPACES), any::<bool>(), attributes());
        (head, vec(child(), 0..4)).prop_map(|((tag, namespace, set, mut attributes), children)| {
            attributes.insert("id", "1.2-3");
            if tag == "iq" {
                attributes.insert("xmlns", namespace);
                attributes.insert("type", if set { "set" } else { "get" });
            }
            Node::new(tag, attributes, Some(NodeContent::Nodes(children)))
        })
    }

    /// As a session does it, without the connection.
    fn handle(simulator: &Simulator, account: &Arc<Account>, node: &Node) -> Vec<Job> {
        let world = &simulator.inner.world;
        let marshaled = wacore_binary::marshal(node).unwrap();
        let Ok((read, raw)) = wire::decode(BytesMut::from(marshaled.as_slice()), LIMIT) else { return Vec::new() };
        let node = read.get();
        match node.tag.as_ref() {
            "message" => message::handle(world, account, 1, node, &raw).jobs,
            "receipt" => receipt::handle(world, account, 1, node).jobs,
            "iq" => iq::answer(world, account, 1, node).jobs,
            "ack" => {
                receipt::handle_ack(world, account, 1, node);
                Vec::new()
            }
            "presence" => {
                presence::take(world, account, 1, node);
                Vec::new()
            }
            _ => {
                presence::chat_state(world, account, node);
                Vec::new()
            }
        }
    }

    #[test]
    fn without_sense_are_answered_and_the_phones_go_on() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let simulator = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Simulator::start(listener, Options::default()).await.unwrap()
        });
        let world = Arc::clone(&simulator.inner.world);
        let people = PHONES.map(|phone| world.directory.obtain(Some(phone), None, false).unwrap());
        proptest!(ProptestConfig::with_cases(3_000), |(node in stanza())| {
            // It may have removed itself.
            people[0].state().devices.entry(1).or_insert_with(|| Device::new(1, [1; 32], [2; 32], vec![3; 60]));
            for job in handle(&simulator, &people[0], &node) {
                runtime.block_on(world.handsets.submit(job));
            }
        });
        // Whatever the phones were given to do, they still do what comes next.
        people[0].state().devices.clear();
        people[0].handset().inbox.clear();
        let write = json!({"to": "6281100000001", "text": "still there"}).to_string();
        let path = "/admin/people/6281100000002/send";
        let request = Request::builder().method("POST").uri(path).body(Body::from(write)).unwrap();
        let status = runtime.block_on(admin::router(Arc::clone(&world)).oneshot(request)).unwrap().status();
        assert_eq!(status, 200);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !people[0].handset().inbox.items().any(|item| item.content.text.as_deref() == Some("still there")) {
            assert!(std::time::Instant::now() < deadline, "a phone does nothing any more");
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        runtime.block_on(simulator.shutdown());
    }
}

mod handshake {
    use super::*;

    fn keys() -> &'static Keys {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| Keys::load_or_create(None, &[]).unwrap())
    }

    fn hello(payload: Vec<u8>) -> Vec<u8> {
        let pinned = keys().trust.static_public_key;
        IkHandshakeState::new(trust::generate(), pinned, payload, &WA_CONN_HEADER).unwrap().build_client_hello().unwrap()
    }

    proptest! {
        #[test]
        fn carries_any_payload(payload in bytes(4_000)) {
            let Ok(Step::Done { established, .. }) = noise::answer_hello(keys(), &hello(payload.clone())) else {
                panic!("a valid hello was refused");
            };
            prop_assert_eq!(established.payload, payload);
        }

        #[test]
        fn changed_a_little_never_lets_in_what_was_not_said(
            hello in mutated(Just(()).prop_map(|()| hello(b"login".to_vec()))), finish in bytes(300)
        ) {
            match noise::answer_hello(keys(), &hello) {
                Ok(Step::Done { established, .. }) => prop_assert_eq!(established.payload, b"login"),
                Ok(Step::AwaitFinish { pending, .. }) => prop_assert!(pending.finish(&finish).is_err()),
                Err(_) => {}
            }
        }

        #[test]
        fn of_anything_lets_nobody_in(hello in bytes(2_000)) {
            let is_in = matches!(noise::answer_hello(keys(), &hello), Ok(Step::Done { .. }));
            prop_assert!(!is_in);
        }
    }
}

mod qr_code {
    use super::*;

    fn valid() -> impl Strategy<Value = (String, String)> {
        ("2@[A-Za-z0-9+/=]{1,80}", any::<[u8; 32]>(), any::<bool>()).prop_map(|(reference, key, linked)| {
            let encoded = BASE64_STANDARD.encode(key);
            let before = if linked { "https://wa.me/settings/linked_devices#" } else { "" };
            let text = format!("{before}{reference},{encoded},{encoded},{encoded},1");
            (reference, text)
        })
    }

    proptest! {
        #[test]
        fn is_read_as_it_was_shown((reference, text) in valid()) {
            prop_assert_eq!(QrCode::parse(&text).unwrap().reference, reference);
        }

        #[test]
        fn changed_a_little_is_read_or_refused(text in mutated(valid().prop_map(|(_, text)| text.into_bytes()))) {
            if let Some(code) = QrCode::parse(&String::from_utf8_lossy(&text)) {
                prop_assert!(code.reference.len() <= 512);
            }
        }

        #[test]
        fn of_anything_is_read_or_refused(text in "\\PC{0,2000}") {
            prop_assert!(QrCode::parse(&text).is_none_or(|code| text.contains(&code.reference)));
        }
    }
}

mod admin_bodies {
    use super::*;

    /// Where bodies are read, with one that is taken.
    fn routes() -> Vec<(&'static str, &'static str, Value)> {
        vec![
            ("POST", "/admin/people", json!({"phone": "6281100000009", "name": "Budi", "count": 1, "auto_read": true})),
            ("PATCH", "/admin/people/6281100000001", json!({"name": "Siti", "online": true, "auto_receipt": false})),
            ("POST", "/admin/people/6281100000001/send", json!({"to": "6281100000002", "text": "hello", "count": 2})),
            (
                "POST",
                "/admin/people/6281100000001/send",
                json!({"to": "6281100000002", "message": {"kind": "image", "media": {"size": 10, "mime_type": "image/png"}}}),
            ),
            ("POST", "/admin/people/6281100000001/read", json!({"ids": ["3EB0"]})),
            ("POST", "/admin/people/6281100000001/chat-state", json!({"to": "6281100000002", "state": "composing"})),
            ("POST", "/admin/people/6281100000001/presence", json!({"available": true, "subscribe": "6281100000002"})),
            ("PATCH", "/admin/people/6281100000001/profile", json!({"about": "hey", "picture": "/9j/2Q=="})),
            (
                "POST",
                "/admin/groups",
                json!({"subject": "Trip", "owner": "6281100000001", "participants": ["6281100000002"]}),
            ),
            ("POST", "/admin/trouble", json!({"nack": 0, "withhold_acks": false, "ack_delay_ms": 0, "drop_messages": 0})),
            ("POST", "/admin/accounts/6281100000001/trouble", json!({"reachout_limit": {"for_s": 0}, "refuse_codes": 0})),
            ("POST", "/admin/accounts/6281100000001/stream-error", json!({"code": 515, "close": true})),
            ("POST", "/admin/accounts/6281100000001/failure", json!({"reason": 401})),
            ("POST", "/admin/accounts/6281100000001/drop", json!({"device": 1})),
            ("POST", "/admin/accounts/6281100000001/unlink", json!({})),
            ("POST", "/admin/media/trouble", json!({"status": 0, "corrupt": false, "bytes_per_second": 0})),
            ("POST", "/admin/mock-phone/enter-code?phone=6281100000001", json!({"code": "ABCD-1234"})),
            ("POST", "/admin/mock-phone/scan-qr", json!("2@nobody")),
        ]
    }

    /// No number between: ten thousand people take their time.
    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-3..5_i64).prop_map(Value::from),
            select(vec![json!(i64::MIN), json!(u64::MAX), json!(1e308), json!(-0.5), json!(1_u64 << 40)]),
        ]
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number(),
            "\\PC{0,30}".prop_map(Value::from),
            select(vec!["6281100000001", "6281100000002", "1@g.us", "image", "sticker", "/v/image/x.enc"])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                vec(("[a-z_]{1,10}", inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// A valid body with some of its fields exchanged for anything, as text, perhaps with bytes changed.
    fn body() -> impl Strategy<Value = (&'static str, &'static str, Vec<u8>)> {
        let exchanged =
            (select(routes()), vec((any::<Index>(), anything()), 0..3)).prop_map(|((method, path, mut body), new)| {
                for (place, value) in new {
                    let fields: Vec<String> =
                        body.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
                    match fields.get(place.index(fields.len() + 1)) {
                        Some(field) => body[field.as_str()] = value,
                        None => body = value,
                    }
                }
                (method, path, body.to_string().into_bytes())
            });
        let exchanged = exchanged.boxed();
        prop_oneof![
            2 => exchanged.clone(),
            1 => (select(routes()), bytes(200)).prop_map(|((method, path, _), body)| (method, path, body)),
            1 => exchanged.prop_flat_map(|(method, path, body)| {
                mutated(Just(body)).prop_map(move |body| (method, path, body))
            }),
        ]
    }

    struct Place {
        runtime: tokio::runtime::Runtime,
        router: axum::Router,
        simulator: Simulator,
    }

    impl Place {
        fn new() -> Self {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let (router, simulator) = runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let simulator = Simulator::start(listener, Options::default()).await.unwrap();
                let world = &simulator.inner.world;
                let router = admin::router(Arc::clone(world)).merge(media::http::router(Arc::clone(world)));
                (router, simulator)
            });
            let place = Self { runtime, router, simulator };
            for phone in ["6281100000001", "6281100000002"] {
                place.ask("POST", "/admin/people", json!({"phone": phone}).to_string().into_bytes());
            }
            place
        }

        fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> u16 {
            let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
            self.runtime.block_on(self.router.clone().oneshot(request)).unwrap().status().as_u16()
        }
    }

    #[test]
    fn that_are_valid_are_taken_and_whatever_else_is_answered() {
        let place = Place::new();
        for (method, path, body) in routes() {
            let status = place.ask(method, path, body.to_string().into_bytes());
            // Nobody shows a code, and nobody has a client.
            let expected = if path.contains("mock-phone") { [404, 422] } else { [200, 204] };
            assert!(expected.contains(&status), "{method} {path}: {status}");
        }
        proptest!(ProptestConfig::with_cases(600), |((method, path, body) in body())| {
            let status = place.ask(method, path, body);
            prop_assert!((200..500).contains(&status) || status == 507, "{} {}: {}", method, path, status);
        });
        place.runtime.block_on(place.simulator.shutdown());
    }
}
