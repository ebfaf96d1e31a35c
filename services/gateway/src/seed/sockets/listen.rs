//! `GET /api/listen/{instance}`: an instance's messages, and what happens to it. Refused while it is offline.

use super::{frames::GLOBAL, open};
use crate::{
    seed::{
        Surface,
        codes::Code,
        envelope::Answer,
        session::{Needs, able, session},
    },
    stream::Filter,
};
use axum::extract::{Path, Request, State};
use std::collections::HashSet;
use warren_domain::seed::MESSAGES;

/// Opens it.
pub(in crate::seed) async fn handler(State(seed): State<Surface>, Path(id): Path<String>, request: Request) -> Answer {
    let instance = able(session(&seed, &id).await?, Needs::LoggedIn)?;
    let types = [&GLOBAL[..], &MESSAGES[..]].concat();
    let filter = Filter { instances: Some(HashSet::from([instance.id])), types };
    open(seed, filter, request, || Code::UpgradeFailed.into()).await
}
