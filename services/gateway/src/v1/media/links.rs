//! `POST /v1/media/{media}/links` `{expires_in_s?}` (3,600 by default, at most 7 days, and never beyond the file) -> 201
//! `{url, expires_at}`: who has the link can fetch the file without a key until then.

use super::{failed, known};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{MediaId, Timestamp, media::MediaState};

const DEFAULT_S: u32 = 3_600;
const LONGEST_S: u32 = 7 * 24 * 3_600;

/// How long the link is to live.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MediaLinkRequest, examples(json!({"expires_in_s": 3600})))]
pub(crate) struct Body {
    /// Seconds from now. The link ends with the file, if that is earlier.
    #[schema(minimum = 1, maximum = 604_800, default = 3_600)]
    expires_in_s: Option<u32>,
}

/// A link to a file that needs no key.
#[derive(Serialize, ToSchema)]
#[schema(as = MediaLink)]
struct Link {
    /// The path and query, to be put behind the address of this API.
    #[schema(example = "/v1/media/0192f0c1a2b37d4e8f90a1b2c3d4e54d/file?expires=1790000000&signature=0f5d...")]
    url: String,
    /// Until when it is good.
    expires_at: Timestamp,
}

/// Make a link to a file that needs no key.
#[utoipa::path(
    post,
    path = "/v1/media/{media}/links",
    tag = "media",
    operation_id = "linkMedia",
    params(("media" = MediaId, Path)),
    request_body = Body,
    responses((status = 201, description = "The link.", body = Link), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MediaId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let seconds = request.body.expires_in_s.unwrap_or(DEFAULT_S);
    if !(1..=LONGEST_S).contains(&seconds) {
        return Err(Problem::field("expires_in_s", "A link lives 1 to 604,800 seconds."));
    }
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        let media = known(&gateway, tenant, id).await?;
        if media.state == MediaState::Failed {
            return Err(failed(media.reason));
        }
        let expires = (gateway.now().as_seconds() + i64::from(seconds)).min(media.expires_at.as_seconds());
        let signature = gateway.link_key.sign(tenant, id, expires).ok_or_else(|| Problem::internal("no key for links"))?;
        let url = format!("/v1/media/{id}/file?expires={expires}&signature={signature}");
        Answer::json(StatusCode::CREATED, &Link { url, expires_at: Timestamp::from_millis(expires * 1_000) })
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
