//! Getting a file from an address that a caller named.

use crate::{CheckedUrl, Guard, Limits, Refused, guard::Failure};
use bytes::Bytes;
use futures::{Stream, StreamExt, future::FutureExt, stream::BoxStream};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION},
};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// The longest content type that is passed on, bytes.
const CONTENT_TYPE_LENGTH: usize = 255;

/// Why a file was not got, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL is refused, by its shape or by the addresses of its name; nothing was asked.
    #[error("the URL is not allowed: {0}")]
    UrlNotAllowed(Refused),
    /// The server sends on to a URL that is refused; that one was not asked.
    #[error("the server redirects to a URL that is not allowed")]
    RedirectBlocked(Refused),
    /// The server sends on more often than is followed.
    #[error("the server redirects too often")]
    TooManyRedirects,
    /// The server answered another status than success.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The file is larger than allowed: announced so, or found so while reading.
    #[error("the file is too large")]
    TooLarge,
    /// The connection, or the whole, took too long.
    #[error("the server did not send the file in time")]
    TimedOut,
    /// No answer: the name is unknown, nobody listens, TLS cannot be trusted, or what came is not HTTP.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The file ended, or broke off, before its announced end.
    #[error("the server did not send the whole file")]
    Incomplete,
}

impl FetchError {
    /// A stable name of the kind.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UrlNotAllowed(_) => "url_not_allowed",
            Self::RedirectBlocked(_) => "redirect_blocked",
            Self::TooManyRedirects => "too_many_redirects",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Incomplete => "incomplete",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Incomplete => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::UrlNotAllowed(_) | Self::RedirectBlocked(_) | Self::TooManyRedirects | Self::TooLarge => false,
        }
    }
}

/// An answer of success whose body is still to be read.
#[derive(Debug)]
pub struct Fetched {
    /// 200 to 299.
    pub status: u16,
    /// What the server says it is; not to be believed. At most 255 visible ASCII characters and spaces.
    pub content_type: Option<String>,
    /// How long the server says the body is, bytes; within the limits.
    pub declared_length: Option<u64>,
    /// The body.
    pub body: Body,
}

/// The bytes of a file, as they arrive. Ends after its first error, which is one of [`FetchError::TooLarge`] (before any
/// byte beyond the limit is given out), [`FetchError::TimedOut`] and [`FetchError::Incomplete`]. A reader that takes its
/// time uses up the time of the request. Dropped, it closes the connection.
pub struct Body {
    /// `None` after the end.
    source: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    deadline: Pin<Box<Sleep>>,
    received: u64,
    limit: u64,
}

impl Guard {
    /// Gets what is at the URL. Redirects are followed as often as the policy says, each judged as the URL itself; the time
    /// runs from here to the body's last byte.
    ///
    /// # Errors
    ///
    /// Each [`FetchError`] but `Incomplete`, which only the body can end with.
    pub async fn fetch(&self, url: &str, limits: Limits) -> Result<Fetched, FetchError> {
        let deadline = self.deadline(limits);
        let limit = limits.bytes.min(self.rules.policy.max_bytes);
        let mut url = self.check(url).map_err(FetchError::UrlNotAllowed)?;
        let mut redirects = 0;
        loop {
            let answer = self.get(&url, deadline).await.map_err(|failure| match failure {
                Failure::Refused(refused) if redirects == 0 => FetchError::UrlNotAllowed(refused),
                Failure::Refused(refused) => FetchError::RedirectBlocked(refused),
                Failure::TimedOut => FetchError::TimedOut,
                Failure::Unreachable => FetchError::Unreachable,
            })?;
            let Some(location) = location(&answer) else { return fetched(answer, deadline, limit) };
            if redirects == self.rules.policy.max_redirects {
                return Err(FetchError::TooManyRedirects);
            }
            redirects += 1;
            let next = location.and_then(|location| self.rules.check_redirect(&url, location));
            url = next.map_err(FetchError::RedirectBlocked)?;
        }
    }

    async fn get(&self, url: &CheckedUrl, deadline: Instant) -> Result<Response, Failure> {
        // The file as it is: nothing here undoes a compression.
        let request = self.client.get(url.url()).header(ACCEPT_ENCODING, "identity");
        Ok(timeout_at(deadline, request.send()).await.map_err(|_| Failure::TimedOut)??)
    }
}

/// Where the answer sends on to, if it does.
fn location(answer: &Response) -> Option<Result<&str, Refused>> {
    let redirects = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = answer.headers().get(LOCATION).filter(|_| redirects)?;
    Some(location.to_str().map_err(|_| Refused::Characters))
}

fn fetched(answer: Response, deadline: Instant, limit: u64) -> Result<Fetched, FetchError> {
    let status = answer.status();
    if !status.is_success() {
        return Err(FetchError::Status(status.as_u16()));
    }
    let declared_length = answer.content_length();
    if declared_length.is_some_and(|declared| declared > limit) {
        return Err(FetchError::TooLarge);
    }
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.filter(|text| text.len() <= CONTENT_TYPE_LENGTH).map(str::to_owned);
    let body =
        Body { source: Some(answer.bytes_stream().boxed()), deadline: Box::pin(sleep_until(deadline)), received: 0, limit };
    Ok(Fetched { status: status.as_u16(), content_type, declared_length, body })
}

impl Body {
    fn ended(&mut self, error: FetchError) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.source = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = &mut *self;
        let Some(source) = &mut body.source else { return Poll::Ready(None) };
        // The deadline first: a server that always has another byte must not outrun it, and the timer only runs when the
        // reader pauses.
        if body.deadline.poll_unpin(context).is_ready() || body.deadline.deadline() <= Instant::now() {
            return body.ended(FetchError::TimedOut);
        }
        match ready!(source.poll_next_unpin(context)) {
            Some(Ok(chunk)) => {
                body.received = body.received.saturating_add(chunk.len() as u64);
                if body.received > body.limit { body.ended(FetchError::TooLarge) } else { Poll::Ready(Some(Ok(chunk))) }
            }
            // The HTTP client compares with the announced length.
            Some(Err(_)) => body.ended(FetchError::Incomplete),
            None => {
                body.source = None;
                Poll::Ready(None)
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Body").field("received", &self.received).finish_non_exhaustive()
    }
}
