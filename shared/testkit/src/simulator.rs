//! The simulator as a process of its own, so that it survives whatever happens to Warren, and a client of its admin API.

use crate::api::{Answer, answer, http};
use crate::eventually::{PATIENCE, eventually};
use crate::process::Process;
use crate::tether;
use anyhow::{Context, Result};
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    process: Process,
    http: Client,
    url: String,
    _folder: TempDir,
}

/// A person who exists only there.
#[derive(Debug, Clone, Deserialize)]
pub struct Person {
    /// E.164 digits.
    pub phone: String,
    /// The address by phone number.
    pub jid: String,
    /// The hidden address.
    pub lid: String,
}

/// What a scan led to.
#[derive(Debug, Clone, Deserialize)]
pub struct Scanned {
    /// E.164 digits of the account.
    pub phone: String,
    /// The address of the new companion.
    pub jid: String,
}

/// What a person received.
#[derive(Debug, Clone, Deserialize)]
pub struct Inbox {
    /// In the order of arrival.
    pub messages: Vec<InboxMessage>,
    /// What could not be decrypted.
    pub undecryptable: u64,
    /// How often the person asked for a message again.
    pub retries_sent: u64,
}

/// A message as a person got it.
#[derive(Debug, Clone, Deserialize)]
pub struct InboxMessage {
    /// Grows with each new message.
    pub order: u64,
    /// Its id at WhatsApp.
    pub id: String,
    /// The sender's number.
    pub from: String,
    /// The text; `None` for what is no text.
    pub text: Option<String>,
    /// What it answers.
    pub quoted_id: Option<String>,
    /// How often the plaintext surfaced.
    pub surfaced: u32,
    /// How many copies came over the wire.
    pub copies: u32,
}

/// What really happened to an account's messages.
#[derive(Debug, Clone, Deserialize)]
pub struct GroundTruth {
    /// What was on its way to each companion.
    pub emitted: Vec<TruthEmitted>,
    /// What the server took from the companions, by id.
    pub accepted: Vec<TruthAccepted>,
    /// Retry receipts that the companions sent.
    pub retry_receipts_sent: u64,
    /// Retry receipts that they got.
    pub retry_receipts_received: u64,
    /// Entries that are missing.
    pub forgotten: u64,
}

/// A message on its way to a companion.
#[derive(Debug, Clone, Deserialize)]
pub struct TruthEmitted {
    /// Its id at WhatsApp.
    pub id: String,
    /// Who wrote it.
    pub from: String,
    /// To which companion.
    pub device: u16,
    /// Whether the companion acknowledged it.
    pub acked: bool,
    /// How often it was delivered.
    pub deliveries: u32,
}

/// A message id that the server took.
#[derive(Debug, Clone, Deserialize)]
pub struct TruthAccepted {
    /// Its id at WhatsApp.
    pub id: String,
    /// To whom.
    pub to: String,
    /// How many stanzas had it.
    pub copies: u32,
    /// How many different ones.
    pub distinct_stanzas: u32,
}

impl Simulator {
    /// Starts `warren simulator` of this binary on a free port.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the simulator")?;
        let mut command = tether::command(binary, None);
        command.args(["simulator", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        // It is never started again over the same folder.
        command.env("WARREN_SIMULATOR__KEEP_STATE", "false").current_dir(folder.path());
        let mut process = tether::start(command)?;
        let url = eventually("the simulator's address", PATIENCE, async || {
            anyhow::ensure!(process.is_running(), "the simulator ended: {}", process.last_lines(10));
            let line = process.stdout().into_iter().find(|line| line.starts_with("Simulator"));
            Ok(line.and_then(|line| line.split_whitespace().nth(1).map(str::to_owned)))
        })
        .await?;
        Ok(Self { process, http: http()?, url, _folder: folder })
    }

    /// SIGSTOP: its connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The authority that signed its TLS certificate, as PEM: who sends or fetches media has to trust it.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn tls_authority(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Trust {
            tls_ca_pem: String,
        }
        Ok(self.get::<Trust>("/trust").await?.tls_ca_pem)
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Any request to the admin API.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}/admin{path}", self.url)).timeout(LIMIT);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T> {
        self.request(Method::POST, path, Some(&body)).await?.into().with_context(|| format!("the simulator's {path}"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::GET, path, None).await?.into().with_context(|| format!("the simulator's {path}"))
    }

    /// A phone scans a QR code; with `phone`, that number's phone.
    ///
    /// # Errors
    /// The scan did not lead to a linked companion.
    pub async fn scan(&self, qr: &str, phone: Option<&str>) -> Result<Scanned> {
        self.try_scan(qr, phone).await?.into().context("scanning the code")
    }

    /// The same, with the whole answer.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_scan(&self, qr: &str, phone: Option<&str>) -> Result<Answer> {
        let query = phone.map(|phone| format!("?phone={phone}")).unwrap_or_default();
        let url = format!("{}/admin/mock-phone/scan-qr{query}", self.url);
        answer(self.http.post(url).timeout(LIMIT).body(qr.to_owned())).await
    }

    /// Makes a person with these habits (`auto_read`, `auto_receipt`, `online`).
    ///
    /// # Errors
    /// It is not made.
    pub async fn person(&self, habits: Value) -> Result<Person> {
        #[derive(Deserialize)]
        struct Made {
            people: Vec<Person>,
        }
        let made: Made = self.post("/people", habits).await?;
        made.people.into_iter().next().context("no person was made")
    }

    /// Changes the habits of a phone, a person's or a paired account's (`auto_read`, `auto_receipt`, `online`).
    ///
    /// # Errors
    /// There is no such phone.
    pub async fn change_habits(&self, phone: &str, habits: Value) -> Result<()> {
        let answer = self.request(Method::PATCH, &format!("/people/{phone}"), Some(&habits)).await?;
        anyhow::ensure!(answer.status == 200, "the habits were not changed: {}", answer.status);
        Ok(())
    }

    /// A person writes `count` texts; with more than one, each ends with its number. Returns their ids.
    ///
    /// # Errors
    /// They are not on their way.
    pub async fn write(&self, person: &str, to: &str, text: &str, count: u32) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Written {
            messages: Vec<Id>,
        }
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let body = json!({"to": to, "text": text, "count": count});
        let written: Written = self.post(&format!("/people/{person}/send"), body).await?;
        Ok(written.messages.into_iter().map(|message| message.id).collect())
    }

    /// What a person received from a number.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn inbox(&self, person: &str, from: &str) -> Result<Inbox> {
        self.get(&format!("/people/{person}/inbox?from={from}&limit=10000")).await
    }

    /// What really happened to an account.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn ground_truth(&self, phone: &str) -> Result<GroundTruth> {
        self.get(&format!("/accounts/{phone}/ground-truth")).await
    }

    /// The account of a number, as the simulator sees it.
    ///
    /// # Errors
    /// There is none.
    pub async fn account(&self, phone: &str) -> Result<Value> {
        let all: Value = self.get("/accounts").await?;
        let accounts = all.get("accounts").and_then(Value::as_array).context("no accounts")?;
        let found = accounts.iter().find(|account| account.get("phone").and_then(Value::as_str) == Some(phone));
        found.cloned().context("no such account")
    }

    /// Whether a companion of the account is connected.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn is_connected(&self, phone: &str) -> Result<bool> {
        let account = self.account(phone).await?;
        let devices = account.get("devices").and_then(Value::as_array).context("no devices")?;
        Ok(devices.iter().any(|device| device.get("connected") == Some(&Value::Bool(true))))
    }

    /// Something happens to an account: `drop`, `stream-error`, `unlink`, `failure`, `trouble`.
    ///
    /// # Errors
    /// It does not happen.
    pub async fn happen(&self, phone: &str, what: &str, body: Value) -> Result<Value> {
        self.post(&format!("/accounts/{phone}/{what}"), body).await
    }
}
