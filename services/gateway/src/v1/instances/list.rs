//! `GET /v1/instances` `?state=&name=&phone=&metadata.KEY=&limit=&cursor=`: every filter that is given must hold.

use crate::{
    auth::Reader,
    parameters::Parameters,
    problem::{Problem, Result},
    state::App,
    v1::{self, instances::View},
};
use axum::{extract::State, response::Response};
use warren_domain::{Instance, InstanceState};
use warren_ports::ledger::InstanceFilter;

/// How many metadata filters may be given.
const METADATA_FILTERS: usize = 8;

pub(crate) async fn handler(State(app): State<App>, caller: Reader, mut query: Parameters) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let after = query.parsed("cursor", |text| text.parse().ok())?;
    let filter = InstanceFilter {
        state: query.parsed("state", InstanceState::parse)?,
        name: query.one("name")?,
        phone: query.one("phone")?.map(|phone| phone.trim_start_matches('+').to_owned()),
        metadata: query.with_prefix("metadata."),
    };
    query.finish()?;
    if filter.metadata.len() > METADATA_FILTERS {
        return Err(Problem::invalid("too_many", "At most 8 metadata filters."));
    }
    let instances = app.ledger.instances(caller.tenant, &filter, after, limit + 1).await?;
    Ok(v1::Page::cut(instances, limit, |instance: &Instance| instance.id.to_string(), View::from))
}
