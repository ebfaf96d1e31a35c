//! The media host: what is in it, and what goes wrong with it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

use super::{Error, Result, body};
use crate::media::fault::Change;
use crate::media::{Faults, Name};
use crate::world::World;

/// Every stored file, oldest first.
pub(super) async fn list(State(world): State<Arc<World>>) -> Json<Value> {
    let (files, total) = world.media.list();
    Json(json!({"files": files, "total_bytes": total}))
}

/// The standing faults.
pub(super) async fn faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!(*world.media.faults()))
}

/// Sets faults of one file or of all; what the body does not name stays.
pub(super) async fn change(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Value>> {
    let mut change: Change = body(&bytes)?;
    for status in [change.status, change.upload_status].into_iter().flatten() {
        if status != 0 && !(400..=599).contains(&status) {
            return Err(Error::invalid("a status is between 400 and 599, or 0"));
        }
    }
    if let Some(path) = &change.direct_path {
        let name = Name::of_path(path).ok_or_else(|| Error::invalid("not a direct path of this host"))?;
        change.direct_path = Some(name.direct_path());
    }
    let mut faults = world.media.faults();
    faults.apply(&change);
    Ok(Json(json!(*faults)))
}

/// Takes every fault back.
pub(super) async fn clear(State(world): State<Arc<World>>) -> Json<Value> {
    let mut faults = world.media.faults();
    *faults = Faults::default();
    Json(json!(*faults))
}
