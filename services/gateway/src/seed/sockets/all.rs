//! `GET /ws`: what happens to the tenant's instances.
//!
//! It shows codes, and whoever has a code can take a pairing over: unlike the seed's it asks for a token, unless it is opened
//! on purpose.

use super::{bad_request, frames::GLOBAL, open};
use crate::{
    seed::{Surface, envelope::Answer, jwt},
    stream::Filter,
};
use axum::extract::{Request, State};

/// Opens it.
pub(in crate::seed) async fn handler(State(seed): State<Surface>, request: Request) -> Answer {
    if !seed.open_websocket {
        jwt::presented(&seed, request.headers())?;
    }
    let filter = Filter { instances: None, types: GLOBAL.to_vec() };
    open(seed, filter, request, bad_request).await
}
