//! `GET /v1/instances` `?state=&name=&phone=&metadata.KEY=&limit=&cursor=`: every filter that is given must hold.

use crate::{
    auth::Reader,
    openapi::{Paging, Problems},
    parameters::Parameters,
    problem::{Problem, Result},
    state::App,
    v1::{self, instances::View},
};
use axum::{extract::State, response::Response};
use utoipa::IntoParams;
use warren_domain::{Instance, InstanceState};
use warren_ports::ledger::InstanceFilter;

/// How many metadata filters may be given.
const METADATA_FILTERS: usize = 8;

/// What can be asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Filters {
    /// Only those in this state.
    state: Option<InstanceState>,
    /// Only those with exactly this name.
    name: Option<String>,
    /// Only the one linked to this number, with or without `+`.
    phone: Option<String>,
}

/// List the instances, oldest first. Every filter that is given must hold.
///
/// Besides the parameters below, up to 8 times `metadata.KEY=VALUE`: only those whose metadata has this value there.
#[utoipa::path(
    get,
    path = "/v1/instances",
    tag = "instances",
    operation_id = "listInstances",
    params(Filters, Paging),
    responses((status = 200, description = "A page of instances.", body = v1::Page<View>), Problems)
)]
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
