//! Handing something to an address that a caller named: webhooks.

use crate::{Guard, Limits, Refused, guard::Failure, headers};
use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most that is read of an answer's body, bytes. Nothing of it is used; reading it lets both sides end in order.
const ANSWER_BYTES: u64 = 64 * 1024;

/// How long the answer's body is read: who has answered with a status shall not hold up the sender.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The URL is refused, by its shape or by the addresses of its name; nothing was sent.
    #[error("the URL is not allowed: {0}")]
    UrlNotAllowed(Refused),
    /// A header of the caller is refused; nothing was sent.
    #[error("the headers are not allowed: {0}")]
    HeaderNotAllowed(Refused),
    /// The connection, or the answer, took too long. The request may have arrived.
    #[error("the server did not answer in time")]
    TimedOut,
    /// No answer: the name is unknown, nobody listens, TLS cannot be trusted, or what came is not HTTP. The request may have
    /// arrived.
    #[error("the server cannot be reached")]
    Unreachable,
}

impl PostError {
    /// A stable name of the kind.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UrlNotAllowed(_) => "url_not_allowed",
            Self::HeaderNotAllowed(_) => "header_not_allowed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unreachable)
    }
}

/// What the server answered. A redirect is an answer as any other, and not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The HTTP status.
    pub status: u16,
    /// When the server wants to be asked again, if it says so in a way that can be read.
    pub retry_after: Option<RetryAfter>,
}

/// The value of a `Retry-After` header (RFC 9110 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long a time; whoever waits sets the upper bound.
    After(Duration),
    /// At a time, perhaps a past one.
    At(Timestamp),
}

impl Guard {
    /// Posts the body. The content type is JSON unless the headers have another. The time runs from here to the answer's
    /// headers; of the answer's body at most 64 KiB (or `limits.bytes`) are read, for 2 s at most, and thrown away, and
    /// however that ends, the status stands.
    ///
    /// # Errors
    ///
    /// See [`PostError`].
    pub async fn post<N: AsRef<str>, V: AsRef<str>>(
        &self,
        url: &str,
        headers: &[(N, V)],
        body: Bytes,
        limits: Limits,
    ) -> Result<Posted, PostError> {
        let deadline = self.deadline(limits);
        let url = self.check(url).map_err(PostError::UrlNotAllowed)?;
        let mut headers = headers::parsed(headers).map_err(PostError::HeaderNotAllowed)?;
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let request = self.client.post(url.url()).headers(headers).body(body);
        let answer = timeout_at(deadline, request.send()).await.map_err(|_| PostError::TimedOut)?;
        let mut answer = answer.map_err(|error| match Failure::from(error) {
            Failure::Refused(refused) => PostError::UrlNotAllowed(refused),
            Failure::TimedOut => PostError::TimedOut,
            Failure::Unreachable => PostError::Unreachable,
        })?;
        let posted = Posted { status: answer.status().as_u16(), retry_after: retry_after(answer.headers()) };
        let read_until = deadline.min(Instant::now() + ANSWER_TIME);
        // Too late is as good as read.
        let _ = timeout_at(read_until, read(&mut answer, limits.bytes.min(ANSWER_BYTES))).await;
        Ok(posted)
    }
}

async fn read(answer: &mut Response, limit: u64) {
    let mut read = 0;
    while read < limit {
        let Ok(Some(chunk)) = answer.chunk().await else { return };
        read += chunk.len() as u64;
    }
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(RetryAfter::After(Duration::from_secs(seconds.into())));
    }
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(RetryAfter::At)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read_as(text: &'static str) -> Option<RetryAfter> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(read_as("3600"), Some(RetryAfter::After(Duration::from_hours(1))));
        let at: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(read_as("Sun, 06 Nov 1994 08:49:37 GMT"), Some(RetryAfter::At(at)));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for text in ["", "soon", "-5", "1.5", "99999999999999999999", "Sun, 99 Nov 1994 08:49:37 GMT", "0x10"] {
            assert_eq!(read_as(text), None, "{text}");
        }
    }
}
