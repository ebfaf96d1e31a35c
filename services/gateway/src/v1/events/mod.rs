//! The event log: read in stretches, or streamed.

pub(crate) mod list;
pub(crate) mod stream;
pub(crate) mod tickets;

use crate::{parameters::Parameters, problem::Result};
use utoipa::IntoParams;
use warren_domain::{EventType, InstanceId};

/// What of the log can be asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what `Question` takes out of the query")]
struct Choice {
    /// Only what happened to this instance; may be given several times.
    instance: Option<Vec<InstanceId>>,
    /// Only events of this type; may be given several times.
    r#type: Option<Vec<EventType>>,
    /// Where to begin: behind a cursor or an event's id, at the `begin` of the log, or `now`. Without it a list begins at
    /// the beginning and a stream now.
    #[param(example = "begin")]
    after: Option<String>,
}

/// What a reader of the log asks for: `instance=`, `type=` (both repeatable), `after=`.
struct Question {
    instances: Vec<InstanceId>,
    types: Vec<EventType>,
    after: Option<String>,
}

impl Question {
    fn take(query: &mut Parameters) -> Result<Self> {
        let mut instances = Vec::new();
        for text in query.all("instance") {
            // What is no id belongs to nobody, like an id that does not exist.
            instances.push(text.parse().map_err(|_| crate::problem::Problem::not_found())?);
        }
        let mut types = Vec::new();
        for text in query.all("type") {
            types.push(
                EventType::parse(&text)
                    .ok_or_else(|| crate::problem::Problem::field("type", "There is no such event type."))?,
            );
        }
        instances.sort_unstable();
        instances.dedup();
        types.sort_unstable_by_key(|kind| kind.as_str());
        types.dedup();
        Ok(Self { instances, types, after: query.one("after")? })
    }
}
