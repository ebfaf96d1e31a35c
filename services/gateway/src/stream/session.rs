//! One WebSocket.
//!
//! To the client: a text frame an event, and `{"type": "cursor", "cursor"}` at the start and, on a filtered stream, every
//! 15 s; `{"type": "subscribed", "instances", "cursor"}` and `{"type": "error", "code", "detail"}` as answers.
//! From the client: `{"subscribe": {"instances": [...]}}` chooses instances (none is all), from here on; ids that the
//! tenant does not have are answered with error 4404 each, and the socket stays.
//!
//! Closing codes: 1001 the gateway stops, 1008 too many frames, 1009 a frame too large, 4401 the key was revoked, 4408 the
//! client reads or answers too slowly. 1001 and 4408 carry the cursor to go on from as their reason.

use crate::{
    json,
    quota::Place,
    state::App,
    stream::{
        feed::{Feed, Filter},
        tail::Rendered,
    },
    v1::events::stream::INSTANCES,
};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use warren_domain::{InstanceId, event::Cursor, key::ApiKey};

/// So much is written before the client must have taken it.
const BATCH_EVENTS: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;
/// How many frames a client may send a second.
const FRAMES: u32 = 30;
/// How many pings may go without an answer.
const MISSED_PONGS: u32 = 2;
/// How long the closing frame and the client's answer to it are waited for.
const GOODBYE: Duration = Duration::from_secs(2);

/// A socket and what it is sent.
pub(crate) struct Session {
    app: App,
    key: Arc<ApiKey>,
    feed: Feed,
    /// Everything up to here has been taken by the client's system.
    told: Cursor,
    unanswered_pings: u32,
    frames: u32,
    frames_since: Instant,
    _place: Place,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, or is gone.
    Gone,
    Stopping,
    Revoked,
    Slow,
    Flood,
    TooLarge,
}

impl End {
    const fn code(self) -> u16 {
        match self {
            Self::Gone => 1000,
            Self::Stopping => 1001,
            Self::Flood => 1008,
            Self::TooLarge => 1009,
            Self::Revoked => 4401,
            Self::Slow => 4408,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stopping => "stopping",
            Self::Flood => "flood",
            Self::TooLarge => "too_large",
            Self::Revoked => "revoked",
            Self::Slow => "slow",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    subscribe: Subscribe,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    instances: Vec<String>,
}

/// The clocks of a session.
struct Clocks {
    ping: Interval,
    cursor: Interval,
    revocation: Interval,
}

impl Clocks {
    fn new(app: &App) -> Self {
        let every = |period: Duration| {
            let mut clock = interval_at(Instant::now() + period, period);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            clock
        };
        let options = &app.options;
        Self {
            ping: every(options.ping_interval()),
            cursor: every(options.cursor_interval()),
            revocation: every(options.revocation_interval()),
        }
    }
}

impl Session {
    pub(crate) fn new(app: App, key: Arc<ApiKey>, filter: Filter, start: Cursor, place: Place) -> Self {
        Self {
            feed: Feed::new(Arc::clone(&app), key.tenant, filter, start),
            app,
            key,
            told: start,
            unanswered_pings: 0,
            frames: 0,
            frames_since: Instant::now(),
            _place: place,
        }
    }

    /// Serves the socket until it ends. `unknown` instances were asked for that the tenant does not have.
    pub(crate) async fn run(mut self, mut socket: WebSocket, unknown: usize) {
        let end = match self.serve(&mut socket, unknown).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.app.telemetry.closed.with_label_values(&[end.reason()]).inc();
        if end == End::Gone {
            return;
        }
        let reason = match end {
            End::Stopping | End::Slow => self.told.to_string(),
            _ => end.reason().to_owned(),
        };
        let frame = Message::Close(Some(CloseFrame { code: end.code(), reason: reason.into() }));
        let goodbye = async {
            if socket.send(frame).await.is_ok() {
                // Until the client has answered: closing earlier could lose the frame on its way.
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        // A slow client may never read it; it can go on from the last cursor it saw.
        let _ = timeout(GOODBYE, goodbye).await;
    }

    async fn serve(&mut self, socket: &mut WebSocket, unknown: usize) -> Result<std::convert::Infallible, End> {
        let mut clocks = Clocks::new(&self.app);
        // Before the client knows that it is connected: what is told from then on and not stored is heard. A log that cannot
        // be read now is waited for below.
        let _ = timeout(self.app.options.owner_timeout(), self.feed.listen()).await;
        self.send_cursor(socket).await?;
        for _ in 0..unknown {
            self.send_error(socket, 4404, "There is no such instance.").await?;
        }
        let stopping = self.app.lifecycle.soft_token();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Err(End::Stopping),
                event = self.feed.next() => self.deliver(socket, event).await?,
                frame = socket.next() => self.receive(socket, frame).await?,
                _ = clocks.ping.tick() => self.ping(socket).await?,
                _ = clocks.cursor.tick() => {
                    if self.feed.is_narrow() {
                        self.send_cursor(socket).await?;
                    }
                }
                _ = clocks.revocation.tick() => self.check_key().await?,
            }
        }
    }

    /// Sends an event, and what else is there already, as one write.
    async fn deliver(&mut self, socket: &mut WebSocket, first: Rendered) -> Result<(), End> {
        let mut next = Some(first);
        let (mut events, mut bytes) = (0, 0);
        let feed = &mut self.feed;
        let write = async {
            while let Some(event) = next.take() {
                events += 1;
                bytes += event.text.len();
                socket.feed(Message::Text(event.text)).await?;
                if events < BATCH_EVENTS && bytes < BATCH_BYTES {
                    next = feed.ready();
                }
            }
            socket.flush().await
        };
        finished(timeout(self.app.options.slow_client(), write).await)?;
        self.told = self.feed.cursor();
        Ok(())
    }

    async fn send(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        finished(timeout(self.app.options.slow_client(), socket.send(message)).await)
    }

    async fn send_cursor(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let cursor = self.feed.cursor();
        let text = json!({"type": "cursor", "cursor": cursor.to_string()}).to_string();
        self.send(socket, Message::Text(text.into())).await?;
        self.told = cursor;
        Ok(())
    }

    async fn send_error(&mut self, socket: &mut WebSocket, code: u16, detail: &str) -> Result<(), End> {
        let text = json!({"type": "error", "code": code, "detail": detail}).to_string();
        self.send(socket, Message::Text(text.into())).await
    }

    async fn ping(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        if self.unanswered_pings >= MISSED_PONGS {
            return Err(End::Slow);
        }
        self.unanswered_pings += 1;
        self.send(socket, Message::Ping(bytes::Bytes::new())).await
    }

    async fn check_key(&mut self) -> Result<(), End> {
        match self.app.authentication.live_key(&self.key.prefix, self.app.now()).await {
            Ok(None) => Err(End::Revoked),
            // A ledger that does not answer now says nothing about the key.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    async fn receive(&mut self, socket: &mut WebSocket, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let frame = match frame {
            None => return Err(End::Gone),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(if is_too_large(&error) { End::TooLarge } else { End::Gone }),
        };
        self.count_frame()?;
        match frame {
            Message::Text(text) => self.understand(socket, &text).await,
            Message::Binary(_) => self.send_error(socket, 4422, "Frames to this stream are JSON texts.").await,
            Message::Pong(_) => {
                self.unanswered_pings = 0;
                Ok(())
            }
            Message::Ping(_) => Ok(()),
            Message::Close(_) => Err(End::Gone),
        }
    }

    fn count_frame(&mut self) -> Result<(), End> {
        if self.frames_since.elapsed() >= Duration::from_secs(1) {
            self.frames_since = Instant::now();
            self.frames = 0;
        }
        self.frames += 1;
        if self.frames > FRAMES { Err(End::Flood) } else { Ok(()) }
    }

    async fn understand(&mut self, socket: &mut WebSocket, text: &Utf8Bytes) -> Result<(), End> {
        let Ok(request) = json::parse::<Request>(text.as_bytes()) else {
            return self.send_error(socket, 4422, "Send {\"subscribe\": {\"instances\": [...]}}.").await;
        };
        if request.subscribe.instances.len() > INSTANCES {
            return self.send_error(socket, 4422, "At most 1,000 instances; none for all.").await;
        }
        let asked = request.subscribe.instances.len();
        let mut own = HashSet::new();
        for text in request.subscribe.instances {
            match self.own_instance(&text).await {
                Ok(Some(instance)) => {
                    own.insert(instance);
                }
                Ok(None) => {
                    tracing::info!(key.id = %self.key.id, "a stream asked for an instance that its tenant does not have");
                    self.send_error(socket, 4404, "There is no such instance.").await?;
                }
                Err(()) => return self.send_error(socket, 4503, "The subscription was not changed; try again.").await,
            }
        }
        if asked > 0 && own.is_empty() {
            // Nothing of what was asked for exists: what was subscribed stays.
            return Ok(());
        }
        self.feed.select((asked > 0).then(|| own.clone()));
        let body = json!({"type": "subscribed", "instances": own, "cursor": self.feed.cursor().to_string()});
        self.send(socket, Message::Text(body.to_string().into())).await
    }

    async fn own_instance(&mut self, text: &str) -> Result<Option<InstanceId>, ()> {
        let Ok(id) = text.parse() else { return Ok(None) };
        match self.app.ledger.instance(self.key.tenant, id).await {
            Ok(found) => Ok(found.map(|instance| instance.id)),
            Err(_) => Err(()),
        }
    }
}

/// A write that made no progress in time is a slow client's; one that failed, a gone client's.
fn finished(written: Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Slow),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    // The WebSocket library's own error type is not reachable from here.
    std::error::Error::source(error).is_some_and(|source| source.to_string().starts_with("Space limit exceeded"))
}
