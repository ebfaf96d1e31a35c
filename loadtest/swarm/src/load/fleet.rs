//! Instances, made and paired through the API, and the people that each talks to.

use super::client::{Call, Client, Outcome};
use crate::place::Place;
use crate::simulator::Habits;
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use warren_testkit::{Person, eventually};

/// Pairings under way at once.
const AT_ONCE: usize = 32;
/// How long each half of one may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long one call of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Instances and their chats.
#[derive(Debug)]
pub struct Fleet {
    /// The instances.
    pub members: Vec<Member>,
    /// Each belongs to one instance and one person; no person has two.
    pub chats: Vec<Chat>,
    /// How long making and pairing the instances took.
    pub paired: Duration,
}

/// An instance that is linked to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The instance's id.
    pub id: String,
    /// The account's number.
    pub phone: String,
}

/// A person that an instance talks to.
#[derive(Debug)]
pub struct Chat {
    /// The place of the instance in [`Fleet::members`].
    pub member: usize,
    /// Who it is.
    pub person: Person,
    /// Whoever sends to it has this: the order of acceptance is known only while one request at a time is under way.
    pub(super) turn: Mutex<()>,
}

impl Fleet {
    /// Makes `instances` with `people` each. Every second person never confirms what arrives: of a message to them, only the
    /// server's ack says that it was taken, and a lost one means that it is sent again.
    ///
    /// # Errors
    /// An instance does not come online.
    pub async fn pair(place: &Place, instances: usize, people: usize) -> Result<Self> {
        let client = Client::new(&place.endpoints, &place.key)?;
        let started = Instant::now();
        let pairing = (0..instances).map(|number| {
            let client = client.clone();
            async move { pair(place, &client, number).await.with_context(|| format!("pairing instance {number}")) }
        });
        let members: Vec<_> = futures::stream::iter(pairing).buffered(AT_ONCE).try_collect().await?;
        let paired = started.elapsed();
        let wanted = instances * people;
        let confirming = place.simulator.people(wanted.div_ceil(2), Habits { confirm: true, read: false }).await?;
        let silent = place.simulator.people(wanted / 2, Habits { confirm: false, read: false }).await?;
        let mut by_turns = Vec::with_capacity(wanted);
        let mut silent = silent.into_iter();
        for person in confirming {
            by_turns.push(person);
            by_turns.extend(silent.next());
        }
        let chat = |(number, person)| Chat { member: number % instances, person, turn: Mutex::new(()) };
        let chats = by_turns.into_iter().enumerate().map(chat).collect();
        Ok(Self { members, chats, paired })
    }

    /// The instance of a chat.
    ///
    /// # Errors
    /// It is none of this fleet's.
    pub fn member(&self, chat: &Chat) -> Result<&Member> {
        self.members.get(chat.member).context("no such instance")
    }
}

async fn pair(place: &Place, client: &Client, number: usize) -> Result<Member> {
    let call = |method: Method, path: String, body: Option<Value>| Call {
        method,
        path,
        body,
        key: None,
        gateway: number,
        patience: PATIENCE,
    };
    let made = done(client, &call(Method::POST, "/v1/instances".into(), Some(json!({})))).await?;
    let id = made.get("id").and_then(Value::as_str).context("no id")?.to_owned();
    let path = format!("/v1/instances/{id}/pairing");
    let begin = call(Method::POST, path.clone(), Some(json!({"method": "qr"})));
    let look = call(Method::GET, path, None);
    let phone = eventually("a phone that is linked", DEADLINE, async || {
        // Refused while the one before is not over yet.
        done(client, &begin).await?;
        scan(place, client, &look).await
    })
    .await?;
    let look = call(Method::GET, format!("/v1/instances/{id}"), None);
    eventually("it to be online", DEADLINE, async || {
        let instance = done(client, &look).await?;
        let state = instance.get("state").and_then(Value::as_str).unwrap_or_default();
        ensure!(state == "online", "it is {state}, {}", instance.get("reason").unwrap_or(&Value::Null));
        Ok(Some(()))
    })
    .await?;
    Ok(Member { id, phone })
}

/// Scans the code of a pairing that has begun; `None` if it ended without a linked phone: the connection of its code was cut.
async fn scan(place: &Place, client: &Client, look: &Call) -> Result<Option<String>> {
    eventually("the end of a pairing", DEADLINE, async || {
        let pairing = done(client, look).await?;
        let state = pairing.get("state").and_then(Value::as_str).unwrap_or_default();
        if !matches!(state, "starting" | "waiting") {
            return Ok(Some(None));
        }
        let code = pairing.get("qr").and_then(Value::as_str).context("no code yet")?;
        // A code that was replaced by the next one just now leads nowhere.
        Ok(Some(Some(place.simulator.scan(code).await?)))
    })
    .await
}

async fn done(client: &Client, call: &Call) -> Result<Value> {
    match client.call(call).await {
        Outcome::Done(body) => Ok(body),
        Outcome::Refused(status, code) => bail!("{} was answered {status} {code}", call.path),
        Outcome::Unknown => bail!("{} was not answered", call.path),
    }
}
