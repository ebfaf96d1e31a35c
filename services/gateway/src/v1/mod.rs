//! Version 1 of the API: one file an endpoint.

pub(crate) mod chats;
pub(crate) mod contacts;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod keys;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod pairing;
mod recipient;
pub(crate) mod tenants;
pub(crate) mod webhooks;

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// How long a list is when nobody says.
const LIST_DEFAULT: u32 = 100;
/// How long a list can be.
pub(crate) const LIST_MOST: u32 = 1_000;

/// A stretch of a list.
#[derive(Debug, Serialize, ToSchema)]
struct Page<T> {
    data: Vec<T>,
    /// What to pass as `cursor` for the next stretch; `null` at the end.
    next_cursor: Option<String>,
}

impl<T: Serialize> Page<T> {
    /// Makes a page of `limit` from one item more than that, if there are so many: the last item of the page is the cursor.
    fn cut<U>(mut items: Vec<U>, limit: u32, cursor: impl Fn(&U) -> String, view: impl Fn(U) -> T) -> Response {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| has_more).map(cursor);
        Json(Self { data: items.into_iter().map(view).collect(), next_cursor }).into_response()
    }
}
