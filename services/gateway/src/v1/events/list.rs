//! `GET /v1/events` `?instance=&type=&after=&limit=` -> `{data, next_cursor, more}`
//!
//! `after` is a cursor, an event's id, `begin` (here the default) or `now`. `next_cursor` is always there: ask with it
//! again, at once while `more` is true.

use crate::{
    auth::Reader,
    parameters::Parameters,
    problem::{Problem, Result},
    state::App,
    stream::{cursor, render},
    v1::{self, events::Question},
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use warren_ports::ledger::EventFilter;

#[derive(Debug, Serialize)]
struct Stretch {
    data: Vec<Box<RawValue>>,
    next_cursor: String,
    more: bool,
}

pub(crate) async fn handler(State(app): State<App>, caller: Reader, mut query: Parameters) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let question = Question::take(&mut query)?;
    query.finish()?;
    for instance in &question.instances {
        app.instance(caller.tenant, *instance).await?;
    }
    let start = cursor::resolve(&app, caller.tenant, question.after.as_deref().unwrap_or("begin")).await?;
    let filter = EventFilter { instances: question.instances, types: question.types };
    let page = app.ledger.read_events(caller.tenant, &filter, start.position, limit).await?;
    let mut data = Vec::with_capacity(page.events.len());
    for event in &page.events {
        data.push(RawValue::from_string(render::stored(start.log, event)?).map_err(Problem::internal)?);
    }
    let next = cursor::Cursor { log: start.log, position: page.next };
    let stretch = Stretch { data, next_cursor: next.to_string(), more: page.more };
    let body = serde_json::to_vec(&stretch).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
