//! `{"to" | "groupJid", "message"}`

use super::{Audience, answer, deliver, sent};
use crate::{
    seed::{
        Seed,
        body::{self, given},
        codes::Code,
        envelope::{Answer, Failure, coded},
        session::{Needs, Sender},
    },
    v1::messages::{checks, draft::Draft},
};
use axum::extract::Request;
use serde::Deserialize;
use serde_json::Map;
use std::time::Duration;

/// How long WhatsApp's server is waited for.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    to: Option<String>,
    group_jid: Option<String>,
    message: Option<String>,
}

/// Sends a text.
pub(in crate::seed) async fn send(seed: &Seed, sender: &Sender, audience: Audience, request: Request) -> Answer {
    let body: Body = body::read(&seed.app, request, Code::InvalidRequest).await?;
    let to = audience.named(body.to, body.group_jid);
    let missing = || Failure::from(Code::ValidationError).details("The recipient and 'message' are required.");
    let (Some(to), Some(message)) = (to, given(body.message)) else { return Err(missing()) };
    checks::body("message", &message).map_err(coded(Code::ValidationError))?;
    let (instance, from) = sender.find(seed, Needs::LoggedIn).await?;
    let address = audience.address(seed, &instance, &to).await?;
    let delivered = deliver(seed, &instance, Draft::text(&address, message), WAIT).await;
    let message = sent(delivered.map_err(coded(Code::SendFailed))?)?;
    answer(audience, &to, from, &message, Map::new())
}
