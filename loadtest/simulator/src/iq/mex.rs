//! `w:mex`, the GraphQL side of the server: a few of its many persisted queries, by their numbers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wacore::iq::mex_operations::{
    create_newsletter, delete_newsletter, fetch_all_newsletters_metadata, fetch_all_subgroups, fetch_newsletter,
    fetch_reachout_timelock, join_newsletter, leave_newsletter, query_subgroup_participant_count, update_newsletter,
    update_newsletter_user_setting,
};
use wacore_binary::NodeRef;

use super::{Answer, Request, communities, newsletters};
use crate::stanza;

/// A GraphQL error: a code and a text.
struct Failure {
    code: u16,
    text: &'static str,
}

impl From<crate::groups::Refusal> for Failure {
    fn from(refusal: crate::groups::Refusal) -> Self {
        Self { code: refusal.code, text: refusal.text }
    }
}

impl From<crate::newsletters::Refusal> for Failure {
    fn from(refusal: crate::newsletters::Refusal) -> Self {
        Self { code: refusal.code(), text: refusal.text() }
    }
}

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let Some(query) = request.child("query") else {
        return request.error(400, "bad-request");
    };
    let number = stanza::attr(query, "query_id").unwrap_or_default();
    let body = match perform(request, &number, query) {
        None => return request.unknown(),
        Some(Ok(data)) => json!({"data": data}),
        Some(Err(Failure { code, text })) => json!({
            "data": null,
            "errors": [{"message": text, "extensions": {"error_code": code, "is_summary": true, "severity": "CRITICAL"}}],
        }),
    };
    request.result(stanza::bytes("result", body.to_string()))
}

/// `None` is a query nobody here knows.
fn perform(request: &Request<'_>, number: &str, query: &NodeRef<'_>) -> Option<Result<Value, Failure>> {
    Some(match number {
        fetch_reachout_timelock::DOC_ID => Ok(reachout(request)),
        fetch_all_subgroups::DOC_ID => with(query, |variables| communities::all(request, variables)),
        query_subgroup_participant_count::DOC_ID => with(query, |variables| communities::counts(request, variables)),
        fetch_all_newsletters_metadata::DOC_ID => Ok(newsletters::followed(request)),
        create_newsletter::DOC_ID => with(query, |variables| newsletters::make(request, variables)),
        fetch_newsletter::DOC_ID => with(query, |variables| newsletters::show(request, variables)),
        join_newsletter::DOC_ID => with(query, |variables| newsletters::follow(request, variables)),
        leave_newsletter::DOC_ID => with(query, |variables| newsletters::unfollow(request, variables)),
        delete_newsletter::DOC_ID => with(query, |variables| newsletters::end(request, variables)),
        update_newsletter::DOC_ID => with(query, |variables| newsletters::rename(request, variables)),
        update_newsletter_user_setting::DOC_ID => with(query, |setting| newsletters::set(request, setting)),
        _ => return None,
    })
}

/// Reads the variables of a query and does it.
fn with<V: DeserializeOwned, R: Into<Failure>>(
    query: &NodeRef<'_>,
    perform: impl FnOnce(V) -> Result<Value, R>,
) -> Result<Value, Failure> {
    #[derive(serde::Deserialize)]
    struct Asked<V> {
        variables: V,
    }
    let malformed = || Failure { code: 400, text: "bad-request" };
    let text = query.content_bytes().ok_or_else(malformed)?;
    let asked: Asked<V> = serde_json::from_slice(text).map_err(|_| malformed())?;
    perform(asked.variables).map_err(Into::into)
}

/// Until when messages to strangers are refused.
fn reachout(request: &Request<'_>) -> Value {
    let limit = request.account.state().trouble.reachout();
    let limit = limit.or_else(|| request.world.trouble().reachout());
    let limit = match limit {
        Some(limit) => json!({
            "is_active": true,
            "time_enforcement_ends": (limit.until_ms / 1_000).to_string(),
            "enforcement_type": "DEFAULT",
        }),
        None => json!({"is_active": false}),
    };
    json!({"xwa2_fetch_account_reachout_timelock": limit})
}
