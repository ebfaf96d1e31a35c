//! `GET /v1/events` `?instance=&type=&after=&limit=` -> `{data, next_cursor, more}`
//!
//! `after` is a cursor, an event's id, `begin` (here the default) or `now`. `next_cursor` is always there: ask with it
//! again, at once while `more` is true.

use crate::{
    auth::Reader,
    openapi::{CursorExpired, Problems},
    parameters::Parameters,
    problem::{Problem, Result},
    state::App,
    stream::{cursor, render},
    v1::{
        self,
        events::{Choice, Question},
    },
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use warren_domain::event::{Cursor, EventView};
use warren_ports::ledger::EventFilter;

/// A stretch of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Events, examples(json!({
    "data": [{
        "id": "evt_0192f0c1a2b37d4e8f90a1b2c3d4e57a",
        "seq": 42,
        "type": "pairing.succeeded",
        "instance_id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
        "occurred_at": "2026-11-22T09:30:00.000Z",
        "cursor": "AQAAAAAAAAABAAAAAAAAACo",
        "data": {}
    }],
    "next_cursor": "AQAAAAAAAAABAAAAAAAAACo",
    "more": false
})))]
struct Stretch {
    #[schema(value_type = Vec<EventView<'static>>)]
    data: Vec<Box<RawValue>>,
    /// What to pass as `after` to go on from here; always there.
    next_cursor: String,
    /// Whether there is more already.
    more: bool,
}

/// How much of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Stretching {
    /// How many events at most. Default 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Read the log of events.
///
/// `next_cursor` is always there: ask with it again as `after`, at once while `more` is true.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    operation_id = "listEvents",
    params(Choice, Stretching),
    responses(
        (status = 200, description = "A stretch of the log.", body = Stretch),
        CursorExpired,
        Problems
    )
)]
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
    let next = Cursor { log: start.log, position: page.next };
    let stretch = Stretch { data, next_cursor: next.to_string(), more: page.more };
    let body = serde_json::to_vec(&stretch).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
