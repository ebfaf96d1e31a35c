//! The event log, read page after page.

use crate::target::Target;
use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::Value;

/// Received messages in the log.
pub(crate) struct Stretch {
    /// The events' ids.
    pub(crate) ids: Vec<String>,
    /// Where it ends.
    pub(crate) cursor: String,
}

/// Every received message after a place in the log, up to its end.
pub(crate) async fn received(target: &Target, after: &str) -> Result<Stretch> {
    let mut connection = target.connect().await?;
    let mut stretch = Stretch { ids: Vec::new(), cursor: after.to_owned() };
    loop {
        let path = format!("/v1/events?type=message.received&limit=1000&after={}", stretch.cursor);
        let (status, body) = connection.call(Method::GET, &path, None).await?;
        let events = body.get("data").and_then(Value::as_array);
        let (200, Some(events)) = (status, events) else { bail!("the log was answered with {status}: {body}") };
        let id = |event: &Value| event.get("id").and_then(Value::as_str).map(str::to_owned);
        stretch.ids.extend(events.iter().filter_map(id));
        body.get("next_cursor").and_then(Value::as_str).context("no cursor")?.clone_into(&mut stretch.cursor);
        if body.get("more") != Some(&Value::Bool(true)) {
            return Ok(stretch);
        }
    }
}
