//! The simulator's admin API, as far as the load generator needs it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub(crate) struct Simulator {
    url: String,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct Trust {
    static_public_key: String,
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

    /// The address that clients dial.
    pub(crate) fn socket(&self) -> String {
        format!("{}/ws/chat", self.url.replacen("http", "ws", 1))
    }

    /// The static key that simulated clients pin.
    pub(crate) async fn static_key(&self) -> Result<[u8; 32]> {
        let trust: Trust =
            self.client.get(format!("{}/admin/trust", self.url)).send().await?.error_for_status()?.json().await?;
        let bytes: Vec<u8> = (0..trust.static_public_key.len())
            .step_by(2)
            .map(|at| {
                let digits = trust.static_public_key.get(at..at + 2).context("an odd number of digits")?;
                Ok(u8::from_str_radix(digits, 16)?)
            })
            .collect::<Result<_>>()?;
        bytes.try_into().ok().context("the key has not 32 bytes")
    }

    /// Scans a QR code with a new phone.
    pub(crate) async fn scan(&self, code: &str) -> Result<()> {
        let answer = self.client.post(format!("{}/admin/mock-phone/scan-qr", self.url)).body(code.to_owned()).send().await?;
        ensure!(answer.status().is_success(), "the scan was answered with {}", answer.status());
        Ok(())
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
