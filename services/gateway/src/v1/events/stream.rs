//! `GET /v1/events/stream` `?instance=&type=&after=`: the log as a WebSocket, one event a text frame.
//!
//! With the usual headers, or from a browser with `?ticket=`. `after` is a cursor, an event's id, `begin` or `now` (the
//! default). The first frame is `{"type": "cursor", "cursor": ...}`: where the stream begins. What else is sent and
//! understood is described at the session.

use crate::{
    auth::Reader,
    openapi::{CursorExpired, Problems, UpgradeRequired},
    parameters::Parameters,
    problem::{Problem, Result},
    quota::Place,
    server::Peer,
    state::App,
    stream::{Filter, Session, cursor, tickets},
    v1::events::{Choice, Question},
};
use axum::{
    extract::{FromRequestParts as _, Request, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use std::{collections::HashSet, sync::Arc};
use utoipa::IntoParams;
use warren_domain::{ErrorKind, TenantId, key::ApiKey};

/// Small buffers: most sockets are idle, and there can be thousands.
const BUFFER: usize = 1_024;
/// The largest frame a client may send.
const FRAME: usize = 64 * 1024;
/// The most bytes of one frame to the client: a text of 65,536 characters, escaped.
const WRITE: usize = 8 * 1024 * 1024;
/// The most instances in a filter.
pub(crate) const INSTANCES: usize = 1_000;

/// How a browser says who it is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Ticketed {
    /// A ticket, instead of a key in a header.
    ticket: Option<String>,
}

/// Stream events over a WebSocket.
///
/// The request is a WebSocket handshake (RFC 6455). Each text frame to the client is one event, as in the list; the first
/// frame is `{"type": "cursor", "cursor": "..."}`, where the stream begins, and a filtered stream repeats it every 15 s.
/// Delivery is at least once, in order for each instance: go on with `after=` the last cursor that was seen. Ephemeral events
/// have no `seq` and no `cursor`, and may be dropped.
///
/// The client may send `{"subscribe": {"instances": [...]}}` to choose other instances from here on (none is all); it is
/// answered by `{"type": "subscribed", "instances": 1, "cursor": "..."}`, and by `{"type": "error", "code": 4404}` for each
/// id that there is not.
///
/// Closing codes: 1001 the server stops, 1008 too many frames, 1009 a frame is too large, 4401 the key was revoked, 4408 the
/// client reads or answers too slowly. 1001 and 4408 carry the cursor to go on from as their reason.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    operation_id = "streamEvents",
    params(Choice, Ticketed),
    responses(
        (status = 101, description = "The stream is open."),
        CursorExpired,
        UpgradeRequired,
        Problems
    )
)]
pub(crate) async fn handler(State(app): State<App>, request: Request) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    check_origin(&parts.headers, &app.options.allowed_origins)?;
    let mut query = Parameters::from_request_parts(&mut parts, &app).await?;
    let ticket = query.one("ticket")?;
    let has_header = parts.headers.contains_key(header::AUTHORIZATION) || parts.headers.contains_key("x-api-key");
    let key = match ticket.filter(|_| !has_header) {
        Some(ticket) => by_ticket(&app, &parts.extensions, &ticket).await?,
        None => Reader::from_request_parts(&mut parts, &app).await?.key,
    };
    let question = Question::take(&mut query)?;
    query.finish()?;
    if question.instances.len() > INSTANCES {
        return Err(Problem::invalid("too_many", "At most 1,000 instances; leave them out for all."));
    }
    let start = cursor::resolve(&app, key.tenant, question.after.as_deref().unwrap_or("now")).await?;
    let place = place(&app, key.tenant)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
        .await
        .map_err(|_| Problem::of_status(StatusCode::UPGRADE_REQUIRED))?;
    let (filter, unknown) = own_instances(&app, key.tenant, question).await?;
    let response = sized(upgrade, FRAME).on_upgrade(move |socket| async move {
        let lifecycle = app.lifecycle.clone();
        // In a task of the life's own, so that the stop waits for the closing frame.
        lifecycle.spawn(Box::pin(Session::new(app, key, filter, start, place).run(socket, unknown)));
    });
    Ok(response)
}

async fn by_ticket(app: &App, extensions: &axum::http::Extensions, ticket: &str) -> Result<Arc<ApiKey>> {
    if let Some(key) = tickets::redeem(app, ticket).await? {
        return Ok(key);
    }
    app.authentication.count("ticket");
    Err(app.authentication.failed(Peer::of(extensions)))
}

/// Room for one more socket of the tenant.
pub(crate) fn place(app: &App, tenant: TenantId) -> Result<Place> {
    app.sockets.take(tenant).ok_or_else(|| {
        Problem::new(ErrorKind::Exhausted, "too_many_websockets", "Too many open WebSockets; close some.").retry_after(10)
    })
}

/// A socket whose client may send `frame` bytes at once.
pub(crate) fn sized(upgrade: WebSocketUpgrade, frame: usize) -> WebSocketUpgrade {
    let buffered = upgrade.read_buffer_size(BUFFER).write_buffer_size(BUFFER).max_write_buffer_size(WRITE);
    buffered.max_frame_size(frame).max_message_size(frame)
}

/// A browser says which page opens the socket; only our own and allowed ones may. Other clients do not send it.
pub(crate) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<()> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own =
        origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority.eq_ignore_ascii_case(host));
    if is_own || allowed.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    Err(Problem::new(ErrorKind::Forbidden, "origin_not_allowed", "Pages of this origin may not open a stream."))
}

/// The filter with the tenant's own instances, and the ids that it does not have.
async fn own_instances(app: &App, tenant: TenantId, question: Question) -> Result<(Filter, usize)> {
    if question.instances.is_empty() {
        return Ok((Filter { instances: None, types: question.types }, 0));
    }
    let mut own = HashSet::new();
    let asked = question.instances.len();
    for instance in question.instances {
        if app.ledger.instance(tenant, instance).await?.is_some() {
            own.insert(instance);
        }
    }
    let unknown = asked - own.len();
    Ok((Filter { instances: Some(own), types: question.types }, unknown))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_own_and_allowed_pages_may_open_a_stream() {
        let from = |origin: &str| {
            HeaderMap::from_iter([
                (header::ORIGIN, origin.parse().unwrap()),
                (header::HOST, "api.example.com".parse().unwrap()),
            ])
        };
        let allowed = ["https://app.example.com".to_owned()];
        assert!(check_origin(&HeaderMap::new(), &[]).is_ok());
        assert!(check_origin(&from("https://api.example.com"), &[]).is_ok());
        assert!(check_origin(&from("https://app.example.com"), &allowed).is_ok());
        assert!(check_origin(&from("https://evil.example"), &["*".to_owned()]).is_ok());
        for origin in ["https://evil.example", "null", "https://api.example.com.evil.example", ""] {
            assert_eq!(check_origin(&from(origin), &allowed).unwrap_err().code(), "origin_not_allowed");
        }
    }
}
