//! `POST /v1/instances/{instance}/messages:batch` `{messages: [..]}`: 1 to 1,000 sends, each as in
//! `POST /v1/instances/{instance}/messages`, each checked by itself; those that are accepted are accepted in one commit, in
//! their order.
//!
//! 202 with a result each if any was accepted, else 200. One `Idempotency-Key` stands for the whole: the same key and body
//! again answers the same messages; what was refused because the queue was full is tried again, so that repeating the request
//! carries a batch on.

use crate::{
    auth::Writer,
    idempotency::{self, Answer, Mutation, REPLAYED},
    json,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::messages::{
        View, as_accepted,
        draft::{self, Draft, not_paired},
        send::queue_full,
    },
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    response::Response,
};
use serde::{
    Deserialize, Serialize,
    de::{Deserializer, Error as _},
};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;
use warren_domain::{InstanceId, TenantId};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Accepted, NewMessage},
};
use warren_runtime::fault;

const MOST: usize = 1_000;
/// The largest body, bytes, unless a single request may be larger.
const BODY: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    messages: Vec<Item>,
}

/// The text of an object, which is read by itself: what is wrong in it is no matter of the others.
struct Item(Box<RawValue>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(reader)?;
        if text.get().starts_with('{') { Ok(Self(text)) } else { Err(D::Error::custom("no object")) }
    }
}

/// Several messages to send.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageBatch, examples(json!({"messages": [
    {"to": "+628123456789", "type": "text", "text": {"body": "One"}},
    {"to": "628123456789", "type": "text", "text": {"body": "Two"}}
]})))]
#[expect(dead_code, reason = "the schema of a body whose parts are read one by one")]
pub(crate) struct Messages {
    /// 1 to 1,000 objects, each as in a single send (`Draft`): what one lacks is its own problem, not the request's.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<Object>)]
    messages: Vec<Value>,
}

/// What came of each message, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageBatchResults)]
pub(crate) struct Results {
    data: Vec<Outcome>,
}

/// What came of one message.
#[derive(Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[schema(as = MessageBatchResult)]
pub(crate) enum Outcome {
    /// It is committed, and `queued`.
    Accepted {
        /// Its place in the request, from 0.
        index: usize,
        /// The message.
        #[schema(value_type = View)]
        message: Box<View>,
    },
    /// It was not taken; the others were not touched by it.
    Refused {
        /// Its place in the request, from 0.
        index: usize,
        /// Why: a problem without a request's id.
        #[schema(value_type = Object)]
        problem: Map<String, Value>,
    },
}

/// Send up to 1,000 messages in one commit.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/messages:batch",
    tag = "messages",
    operation_id = "sendMessages",
    params(("instance" = InstanceId, Path)),
    request_body = Messages,
    responses(
        (status = 202, description = "Some were accepted; each has its result.", body = Results),
        (status = 200, description = "None was accepted; each has its result.", body = Results),
        Problems
    )
)]
pub(crate) async fn send(
    State(app): State<App>,
    caller: Writer,
    Id(instance): Id<InstanceId>,
    request: Request,
) -> Result<Response> {
    let Mutation { body, key } = Mutation::<Body>::read(request, &app, BODY.max(app.options.body_limit_bytes)).await?;
    if body.messages.is_empty() || body.messages.len() > MOST {
        return Err(Problem::field("messages", "A batch has 1 to 1,000 messages."));
    }
    app.instance(caller.tenant, instance).await?;
    let mut outcomes = Vec::with_capacity(body.messages.len());
    let (mut places, mut new) = (Vec::new(), Vec::new());
    for (index, message) in body.messages.iter().enumerate() {
        match read(&app, caller.tenant, instance, message).await {
            Ok(message) => {
                let idempotency = key.clone().filter(|_| !fault::mutation("idempotency_off"));
                new.push(NewMessage { idempotency, part: u32::try_from(index).ok(), ..message });
                places.push(index);
            }
            Err(problem) if problem.status().is_server_error() => return Err(problem),
            Err(problem) => outcomes.push(Outcome::Refused { index, problem: problem.members() }),
        }
    }
    let verdicts = app.ledger.accept(new).await?;
    let counts = Counts::of(&verdicts);
    if counts.mismatched > 0 {
        return Err(idempotency::mismatch());
    }
    if counts.not_paired > 0 && counts.accepted == 0 {
        return Err(not_paired());
    }
    if counts.accepted > 0 {
        app.bus.ring(Topic::Outbound(app.shard(instance)), Ring::Outbound(instance));
    }
    outcomes.extend(places.into_iter().zip(verdicts).map(|(index, verdict)| outcome(index, verdict)));
    outcomes.sort_by_key(Outcome::index);
    let status = if counts.accepted > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = Answer::json(status, &Results { data: outcomes })?.into_response();
    if counts.replayed > 0 {
        app.telemetry.replayed.inc();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn read(app: &App, tenant: TenantId, instance: InstanceId, message: &Item) -> Result<NewMessage> {
    let draft: Draft = json::parse(message.0.get().as_bytes())?;
    draft::unkeyed(app, tenant, instance, draft).await
}

fn outcome(index: usize, verdict: Accepted) -> Outcome {
    let problem = match verdict {
        Accepted::New(message) | Accepted::Replay(message) => {
            return Outcome::Accepted { index, message: Box::new(as_accepted(message).into()) };
        }
        Accepted::QueueFull => queue_full(),
        Accepted::NotPaired => not_paired(),
        Accepted::NoInstance => Problem::not_found(),
        Accepted::Mismatch => idempotency::mismatch(),
    };
    Outcome::Refused { index, problem: problem.members() }
}

impl Outcome {
    const fn index(&self) -> usize {
        match self {
            Self::Accepted { index, .. } | Self::Refused { index, .. } => *index,
        }
    }
}

#[derive(Default)]
struct Counts {
    /// New ones and replays.
    accepted: usize,
    replayed: usize,
    mismatched: usize,
    not_paired: usize,
}

impl Counts {
    fn of(verdicts: &[Accepted]) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            match verdict {
                Accepted::New(_) => counts.accepted += 1,
                Accepted::Replay(_) => (counts.accepted, counts.replayed) = (counts.accepted + 1, counts.replayed + 1),
                Accepted::Mismatch => counts.mismatched += 1,
                Accepted::NotPaired => counts.not_paired += 1,
                Accepted::QueueFull | Accepted::NoInstance => {}
            }
        }
        counts
    }
}
