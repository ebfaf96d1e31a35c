//! Whether the bus can be reached, as seen from here.

use futures::future::OptionFuture;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long an outage looks like a slow request: a server that is started again is back by then.
const AWAY: Duration = Duration::from_millis(1_500);
/// When a request that was sent into an outage is given up, from its start.
const GIVEN_UP: Duration = Duration::from_millis(1_800);
/// What a request that was under way for longer than that is given, from the start of the outage.
const GRACE: Duration = Duration::from_millis(400);

/// What is known of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down(Instant),
    Closed,
}

/// The connection cannot be used, and will not be soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Away;

/// The state of the connection.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Sender<State>,
}

impl Link {
    /// One that is not up yet.
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State::Down(Instant::now())) }
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.state.borrow() == State::Up
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.state.borrow() == State::Closed
    }

    /// It can be used. Whether that is news.
    pub(crate) fn rise(&self) -> bool {
        self.state.send_if_modified(|state| {
            let is_news = matches!(state, State::Down(_));
            if is_news {
                *state = State::Up;
            }
            is_news
        })
    }

    /// It cannot. Whether that is news.
    pub(crate) fn fall(&self) -> bool {
        self.state.send_if_modified(|state| {
            let is_news = *state == State::Up;
            if is_news {
                *state = State::Down(Instant::now());
            }
            is_news
        })
    }

    /// It is given up for good.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Waits until it can be used.
    ///
    /// # Errors
    /// [`Away`] when that takes too long: at once, if it already did.
    pub(crate) async fn up(&self) -> Result<(), Away> {
        let mut changes = self.state.subscribe();
        loop {
            let state = *changes.borrow_and_update();
            let until = match state {
                State::Up => return Ok(()),
                State::Closed => return Err(Away),
                State::Down(since) => since + AWAY,
            };
            tokio::select! {
                biased;
                changed = changes.changed() => changed.map_err(|_| Away)?,
                () = sleep_until(until) => return Err(Away),
            }
        }
    }

    /// Waits until nothing can be hoped for what was sent: the bus is away, and a request that was started at `started` has
    /// waited for it long enough.
    pub(crate) async fn given_up(&self, started: Instant) {
        let mut changes = self.state.subscribe();
        loop {
            let state = *changes.borrow_and_update();
            let until = match state {
                State::Up => None,
                State::Closed => return,
                State::Down(since) => Some((since + GRACE).max(started + GIVEN_UP)),
            };
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() { return },
                Some(()) = OptionFuture::from(until.map(sleep_until)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outage_is_waited_out_only_at_its_start() {
        let link = Link::new();
        link.rise();
        assert!(link.fall() && !link.fall());
        let started = Instant::now();
        assert_eq!(link.up().await, Err(Away));
        assert!(started.elapsed() >= AWAY - GRACE);
        let again = Instant::now();
        assert_eq!(link.up().await, Err(Away));
        assert!(again.elapsed() < AWAY, "at once");
        assert!(link.rise() && !link.rise());
        assert_eq!(link.up().await, Ok(()));
        link.close();
        assert!(!link.rise() && link.is_closed());
        assert_eq!(link.up().await, Err(Away));
    }

    #[tokio::test]
    async fn what_is_under_way_is_given_up_by_its_age() {
        let link = Link::new();
        link.rise();
        let old = Instant::now();
        tokio::time::sleep(GIVEN_UP).await;
        let began = Instant::now();
        link.fall();
        link.given_up(old).await;
        assert!(began.elapsed() >= GRACE && began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
        link.given_up(began).await;
        assert!(began.elapsed() >= GIVEN_UP);
    }

    #[tokio::test]
    async fn what_came_back_in_time_is_not_given_up() {
        let link = Link::new();
        let given_up = link.given_up(Instant::now());
        link.rise();
        assert!(tokio::time::timeout(GIVEN_UP + GRACE, given_up).await.is_err());
    }
}
