//! The WebSockets: `/ws`, what happens to the tenant's instances, and `/api/listen/{instance}`, one instance's messages and
//! what happens to it. Both read the same log as `/v1/events/stream`.

pub(super) mod all;
mod frames;
pub(super) mod listen;
mod session;

use super::{
    Seed, Surface,
    envelope::{Answer, Failure},
};
use crate::{
    problem::Problem,
    stream::{Feed, Filter, Rendered, cursor},
    v1::events::stream::{check_origin, place, sized},
};
use axum::{
    extract::{FromRequestParts as _, Request, WebSocketUpgrade},
    http::StatusCode,
};
use frames::Told;
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::{Map, Value};
use session::{Times, serve};
use std::collections::VecDeque;
use warren_domain::{ErrorKind, InstanceId, Timestamp};

/// The most bytes that a client may send at once: it has nothing to say.
const READ: usize = 512;

/// Opens a socket that tells what passes the filter, from now on. `not_a_socket` is the answer to a request that is none.
async fn open(seed: Surface, filter: Filter, request: Request, not_a_socket: fn() -> Failure) -> Answer {
    let (mut parts, _) = request.into_parts();
    check_origin(&parts.headers, &seed.cors_origins)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|_| not_a_socket())?;
    let app = seed.app.clone();
    let place = place(&app, seed.tenant)?;
    let start = cursor::resolve(&app, seed.tenant, "now").await?;
    let mut feed = Feed::new(app.clone(), seed.tenant, filter, start);
    // Before the client knows that it is connected: a code that is shown from then on is not missed.
    if tokio::time::timeout(app.options.owner_timeout(), feed.listen()).await.is_err() {
        return Err(Problem::new(ErrorKind::Unavailable, "unavailable", "The events cannot be read now; try again.").into());
    }
    let response = sized(upgrade, READ).on_upgrade(move |socket| async move {
        let (lifecycle, stopping) = (app.lifecycle.clone(), app.lifecycle.soft_token());
        // In a task of the life's own, so that the stop waits for the closing frame.
        lifecycle.spawn(Box::pin(async move {
            let end = serve(socket, Box::pin(events(seed, feed)), stopping, Times::default()).await;
            app.telemetry.closed.with_label_values(&[end.reason()]).inc();
            drop(place);
        }));
    });
    Ok(response)
}

/// The answer to a request for `/ws` that is no WebSocket handshake.
fn bad_request() -> Failure {
    Problem::of_status(StatusCode::BAD_REQUEST).into()
}

/// The events of a feed as the seed's frames. Losing a wait for the next one loses nothing.
fn events(seed: Surface, feed: Feed) -> impl Stream<Item = String> + Send {
    let telling = Telling { seed, feed, pending: VecDeque::new() };
    stream::unfold(telling, |mut telling| async move { Some((telling.next().await, telling)) })
}

struct Telling {
    seed: Surface,
    feed: Feed,
    pending: VecDeque<String>,
}

/// What of an event as it is written in the log is told.
#[derive(Deserialize)]
struct Happened {
    occurred_at: Timestamp,
    data: Map<String, Value>,
}

impl Telling {
    async fn next(&mut self) -> String {
        loop {
            if let Some(text) = self.pending.pop_front() {
                return text;
            }
            let event = self.feed.next().await;
            self.tell(&event).await;
        }
    }

    async fn tell(&mut self, event: &Rendered) {
        // It was written here.
        let Ok(happened) = serde_json::from_str::<Happened>(&event.text) else { return };
        let phone = if frames::names_a_number(event.kind) { number(&self.seed, event.instance).await } else { None };
        let told =
            Told { kind: event.kind, instance: event.instance, at: happened.occurred_at, data: &happened.data, phone };
        self.pending.extend(told.frames());
    }
}

/// The number of an instance's account. One that cannot be read now is left out.
async fn number(seed: &Seed, instance: InstanceId) -> Option<String> {
    let found = seed.app.ledger.instance(seed.tenant, instance).await.ok().flatten()?;
    found.account.map(|account| account.phone).filter(|phone| !phone.is_empty())
}
