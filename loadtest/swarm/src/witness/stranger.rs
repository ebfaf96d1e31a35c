//! Another tenant, who looks for what is not his.

use super::{Follower as _, Record, ResumedStream};
use crate::history::Look;
use crate::load::{Call, Client, Fleet, Outcome};
use crate::place::Place;
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use warren_testkit::Api;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Instances and messages that are looked for, each.
const MOST: usize = 8;

/// A tenant with nothing, whose stream of events has nothing to tell.
#[derive(Debug)]
pub struct Stranger {
    client: Client,
    stream: ResumedStream,
}

impl Stranger {
    /// Makes the tenant.
    ///
    /// # Errors
    /// The admin key does not make one.
    pub async fn arrive(place: &Place) -> Result<Self> {
        let admin = Api::new(&place.endpoints.at(0), &place.admin_key)?;
        let tenant: Value = admin.post("/v1/tenants", &json!({"name": "stranger"})).await?.into()?;
        let id = tenant.get("id").and_then(Value::as_str).context("no tenant")?;
        let body = json!({"name": "stranger", "scopes": ["read", "write"]});
        let key: Value = admin.post(&format!("/v1/tenants/{id}/keys"), &body).await?.into()?;
        let key = key.get("key").and_then(Value::as_str).context("no key")?;
        let client = Client::new(&place.endpoints, key)?;
        let stream = ResumedStream::open(&Place { key: key.to_owned(), ..place.clone() }).await?;
        Ok(Self { client, stream })
    }

    /// Looks for the fleet's instances, for what they sent, at all lists, and at what its own stream has told.
    pub async fn look(&self, fleet: &Fleet, record: &Record) -> Vec<Look> {
        let mut looks = look(&self.client, fleet, record).await;
        looks.push(Look { what: "an event".to_owned(), seen: !self.stream.entries().is_empty() });
        looks
    }

    /// Looks for the fleet's instances and at all lists, beside whatever else goes on.
    #[must_use]
    pub fn look_meanwhile(&self, fleet: &Arc<Fleet>) -> JoinHandle<Vec<Look>> {
        let (client, fleet) = (self.client.clone(), fleet.clone());
        tokio::spawn(async move { look(&client, &fleet, &Record::default()).await })
    }
}

async fn look(client: &Client, fleet: &Fleet, record: &Record) -> Vec<Look> {
    let mut looks = Vec::new();
    for path in ["/v1/instances", "/v1/events?after=begin", "/v1/webhooks"] {
        let seen = match call(client, Method::GET, path, None).await {
            Outcome::Done(body) => body.get("data").and_then(Value::as_array).is_none_or(|data| !data.is_empty()),
            Outcome::Refused(..) | Outcome::Unknown => false,
        };
        looks.push(Look { what: path.to_owned(), seen });
    }
    let step = |all: usize| (all / MOST).max(1);
    for member in fleet.members.iter().step_by(step(fleet.members.len())) {
        let path = format!("/v1/instances/{}", member.id);
        looks.push(shown(client, Method::GET, &path, None).await);
        looks.push(shown(client, Method::GET, &format!("{path}/messages"), None).await);
        let body = json!({"to": "6281100000000", "type": "text", "text": {"body": "not mine"}});
        looks.push(shown(client, Method::POST, &format!("{path}/messages"), Some(body)).await);
    }
    for sent in record.sent.iter().step_by(step(record.sent.len())) {
        looks.push(shown(client, Method::GET, &format!("/v1/messages/{}", sent.id), None).await);
    }
    looks
}

/// Anything but "there is no such thing", or no answer, shows something.
async fn shown(client: &Client, method: Method, path: &str, body: Option<Value>) -> Look {
    let seen = match call(client, method.clone(), path, body).await {
        Outcome::Done(_) => true,
        Outcome::Refused(status, _) => status != 404,
        Outcome::Unknown => false,
    };
    Look { what: format!("{method} {path}"), seen }
}

async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> Outcome {
    let call = Call { method, path: path.to_owned(), body, key: None, gateway: 0, patience: PATIENCE };
    client.call(&call).await
}
