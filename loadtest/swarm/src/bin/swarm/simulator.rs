//! The simulator's admin API, as far as the load generator needs it.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

pub(crate) struct Simulator {
    url: String,
    client: reqwest::Client,
}

/// What simulated clients pin.
#[derive(Deserialize)]
pub(crate) struct Trust {
    /// The static key, 64 hex digits.
    pub(crate) static_public_key: String,
    /// The authority that signs its certificates.
    pub(crate) tls_ca_pem: String,
}

#[derive(Deserialize)]
struct Person {
    phone: String,
}

#[derive(Deserialize)]
struct People {
    people: Vec<Person>,
}

impl Simulator {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client })
    }

    /// The address that clients dial: its one port serves both.
    pub(crate) fn socket(&self, tls: bool) -> String {
        format!("{}/ws/chat", self.url.replacen("http", if tls { "wss" } else { "ws" }, 1))
    }

    pub(crate) async fn trust(&self) -> Result<Trust> {
        Ok(self.client.get(format!("{}/admin/trust", self.url)).send().await?.error_for_status()?.json().await?)
    }

    /// Scans a QR code with a new phone.
    pub(crate) async fn scan(&self, code: &str) -> Result<()> {
        let answer = self.client.post(format!("{}/admin/mock-phone/scan-qr", self.url)).body(code.to_owned()).send().await?;
        ensure!(answer.status().is_success(), "the scan was answered with {}", answer.status());
        Ok(())
    }

    /// Each first one of a pair writes texts to the second; returns when the server has them all.
    pub(crate) async fn write_all(&self, pairs: &[(String, String)], texts: u64) -> Result<()> {
        const AT_ONCE: usize = 16;
        let writing = pairs.iter().map(|(person, to)| {
            let url = format!("{}/admin/people/{person}/send", self.url);
            let body = serde_json::json!({"to": to, "text": "The quick brown fox, once more.", "count": texts});
            async move { anyhow::Ok(self.client.post(url).json(&body).send().await?.error_for_status().map(drop)?) }
        });
        futures::stream::iter(writing).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// Makes people; their phone numbers.
    pub(crate) async fn people(&self, count: usize) -> Result<Vec<String>> {
        let request = serde_json::json!({"count": count, "auto_read": false});
        let people: People = self
            .client
            .post(format!("{}/admin/people", self.url))
            .json(&request)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(people.people.into_iter().map(|person| person.phone).collect())
    }
}
