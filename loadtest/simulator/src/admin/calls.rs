//! Calls: made and ended by people, and looked at.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Result, body, find, named_phone};
use crate::calls::{self, Call};
use crate::world::World;

/// Calls in one answer, the latest.
const PAGE_LIMIT: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dial {
    to: String,
    #[serde(default)]
    video: bool,
}

/// A person calls somebody.
pub(super) async fn dial(State(world): State<Arc<World>>, Path(phone): Path<String>, bytes: Bytes) -> Result<Json<Value>> {
    let wanted: Dial = body(&bytes)?;
    let (from, to) = (find(&world, &phone)?, find(&world, &wanted.to)?);
    let call_id = calls::dial(&world, &from, &to, wanted.video);
    Ok(Json(json!({"call_id": call_id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HangUp {
    call_id: String,
    reason: Option<String>,
}

/// A person ends a call, or refuses one that rings.
pub(super) async fn hang_up(
    State(world): State<Arc<World>>,
    Path(phone): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>> {
    let wanted: HangUp = body(&bytes)?;
    let by = find(&world, &phone)?;
    let ended = calls::hang_up(&world, &by, &wanted.call_id, wanted.reason.as_deref());
    let ended =
        ended.ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "no_call", "this phone is in no such call (any more)"))?;
    Ok(Json(view(&ended)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    phone: Option<String>,
}

/// The latest calls, oldest first; of one account, or of all.
pub(super) async fn list(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Result<Json<Value>> {
    let phone = named_phone(filter.phone.as_deref())?;
    let calls = world.calls();
    let concerned = calls.all().filter(|call| phone.is_none_or(|phone| call.from == phone || call.to == phone));
    let listed: Vec<&Call> = concerned.collect();
    let skipped = listed.len().saturating_sub(PAGE_LIMIT);
    let listed: Vec<Value> = listed.into_iter().skip(skipped).map(view).collect();
    Ok(Json(json!({"calls": listed})))
}

/// Phone numbers are text, as everywhere in this API.
fn view(call: &Call) -> Value {
    let mut view = json!(call);
    if let Some(fields) = view.as_object_mut() {
        fields.insert("from".to_owned(), json!(call.from.to_string()));
        fields.insert("to".to_owned(), json!(call.to.to_string()));
    }
    view
}
