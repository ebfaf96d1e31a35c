//! The simulator's admin API, as far as the load generator and the witnesses need it.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use warren_testkit::{GroundTruth, Inbox, Person};

/// People made by one request.
const PEOPLE: usize = 10_000;
/// Requests under way at once where many are made.
const AT_ONCE: usize = 16;
/// A request that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A client of one simulator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Simulator {
    url: String,
    client: reqwest::Client,
}

/// What simulated clients pin.
#[derive(Debug, Clone, Deserialize)]
pub struct Trust {
    /// The static key, 64 hex digits.
    pub static_public_key: String,
    /// The authority that signs its certificates.
    pub tls_ca_pem: String,
}

/// How the people that are made behave.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Whether they confirm what arrives.
    pub confirm: bool,
    /// Whether they read it, and say so.
    pub read: bool,
}

/// Counts since the simulator started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Stats {
    /// Connections open now.
    pub connections_open: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Connections that another login of the same device ended.
    pub replaced: u64,
    /// Messages that it took from clients.
    pub messages_accepted: u64,
    /// Retry receipts, of both directions.
    pub retry_receipts: u64,
    /// Messages that a person could not decrypt.
    pub handset_undecryptable: u64,
    /// Messages that people sent.
    pub handset_sent: u64,
}

/// An account as the simulator sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Its number.
    pub phone: String,
    /// Its linked clients.
    pub devices: Vec<Device>,
}

/// A linked client.
#[derive(Debug, Clone, Deserialize)]
pub struct Device {
    /// Whether it is connected.
    pub connected: bool,
    /// How often it logged in.
    pub logins: u64,
}

impl Account {
    /// How often its clients logged in.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.devices.iter().map(|device| device.logins).sum()
    }

    /// Whether one of its clients is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.devices.iter().any(|device| device.connected)
    }
}

impl Simulator {
    /// A client of the simulator at `url` (`http://host:port`).
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: &str) -> Result<Self> {
        let client = crate::http_client(LIMIT)?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client })
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address that clients dial: its one port serves both.
    #[must_use]
    pub fn socket(&self, tls: bool) -> String {
        format!("{}/ws/chat", self.url.replacen("http", if tls { "wss" } else { "ws" }, 1))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.client.get(format!("{}/admin{path}", self.url)).send().await;
        let answer = answer.with_context(|| format!("asking the simulator for {path}"))?;
        answer.error_for_status()?.json().await.with_context(|| format!("reading the simulator's {path}"))
    }

    /// Any change through the admin API; `path` begins below `/admin`.
    ///
    /// # Errors
    /// It is refused, or not answered.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let answer = self.client.post(format!("{}/admin{path}", self.url)).json(body).send().await;
        let answer = answer.with_context(|| format!("asking the simulator for {path}"))?;
        answer.error_for_status()?.json().await.with_context(|| format!("reading the simulator's {path}"))
    }

    /// Accounts with a companion that logs in with one of these Noise static keys, and does no Signal; their numbers.
    ///
    /// # Errors
    /// It does not make them.
    pub async fn link(&self, noise_keys: &[[u8; 32]]) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Linked {
            phones: Vec<String>,
        }
        let mut phones = Vec::new();
        for some in noise_keys.chunks(PEOPLE) {
            let keys: Vec<_> = some.iter().map(hex::encode).collect();
            phones.extend(self.post::<Linked>("/accounts", &json!({"noise_keys": keys})).await?.phones);
        }
        ensure!(phones.len() == noise_keys.len(), "the simulator made {} of {}", phones.len(), noise_keys.len());
        Ok(phones)
    }

    /// The keys that clients pin.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn trust(&self) -> Result<Trust> {
        self.get("/trust").await
    }

    /// Its counters.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn stats(&self) -> Result<Stats> {
        self.get("/stats").await
    }

    /// Every account with a linked client.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        #[derive(Deserialize)]
        struct Accounts {
            accounts: Vec<Account>,
        }
        Ok(self.get::<Accounts>("/accounts").await?.accounts)
    }

    /// Scans a QR code with a new phone; the number of its account.
    ///
    /// # Errors
    /// The scan did not lead to a linked client.
    pub async fn scan(&self, code: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Scanned {
            phone: String,
        }
        let answer = self.client.post(format!("{}/admin/mock-phone/scan-qr", self.url)).body(code.to_owned()).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the scan was answered with {status}: {text}");
        Ok(serde_json::from_str::<Scanned>(&text)?.phone)
    }

    /// Makes people.
    ///
    /// # Errors
    /// They are not made.
    pub async fn people(&self, count: usize, habits: Habits) -> Result<Vec<Person>> {
        #[derive(Deserialize)]
        struct People {
            people: Vec<Person>,
        }
        let mut people = Vec::with_capacity(count);
        while people.len() < count {
            let wanted = (count - people.len()).min(PEOPLE);
            let body = json!({"count": wanted, "auto_read": habits.read, "auto_receipt": habits.confirm});
            people.extend(self.post::<People>("/people", &body).await?.people);
        }
        Ok(people)
    }

    /// Makes people who confirm what arrives and do not read it; their numbers.
    ///
    /// # Errors
    /// They are not made.
    pub async fn phones(&self, count: usize) -> Result<Vec<String>> {
        let people = self.people(count, Habits { confirm: true, read: false }).await?;
        Ok(people.into_iter().map(|person| person.phone).collect())
    }

    /// A person writes one text; the id of the message.
    ///
    /// # Errors
    /// It is not on its way.
    pub async fn write(&self, person: &str, to: &str, text: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Written {
            messages: Vec<Message>,
        }
        #[derive(Deserialize)]
        struct Message {
            id: String,
        }
        let written: Written = self.post(&format!("/people/{person}/send"), &json!({"to": to, "text": text})).await?;
        Ok(written.messages.into_iter().next().context("nothing was written")?.id)
    }

    /// Each first one of a pair writes texts to the second; returns when the server has them all.
    ///
    /// # Errors
    /// One of them is not on its way.
    pub async fn write_all(&self, pairs: &[(String, String)], texts: u64) -> Result<()> {
        let writing = pairs.iter().map(|(person, to)| async move {
            let body = json!({"to": to, "text": "The quick brown fox, once more.", "count": texts});
            self.post::<Value>(&format!("/people/{person}/send"), &body).await.map(drop)
        });
        futures::stream::iter(writing).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// How long linked clients were away between two connections, milliseconds each, after the first `after`; and how many gaps
    /// there were in all.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn gaps(&self, after: u64) -> Result<(Vec<u64>, u64)> {
        #[derive(Deserialize)]
        struct Gaps {
            gaps: Vec<Gap>,
            count: u64,
        }
        #[derive(Deserialize)]
        struct Gap {
            ms: u64,
        }
        let gaps: Gaps = self.get(&format!("/gaps?after={after}")).await?;
        Ok((gaps.gaps.into_iter().map(|gap| gap.ms).collect(), gaps.count))
    }

    /// What a person received, after a place of its inbox.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn inbox(&self, person: &str, after: u64) -> Result<Inbox> {
        self.get(&format!("/people/{person}/inbox?after={after}&limit=10000")).await
    }

    /// What really happened to an account.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn ground_truth(&self, phone: &str) -> Result<GroundTruth> {
        self.get(&format!("/accounts/{phone}/ground-truth")).await
    }
}
