//! The closed list of what can go wrong, as callers need to tell it apart.

use std::fmt;

/// What kind of failure it is. New kinds are introduced thoughtfully: every adapter and the HTTP edge must know them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong; sending it again will not help.
    Invalid,
    /// No or wrong credentials.
    Unauthenticated,
    /// The credentials do not allow this.
    Forbidden,
    /// There is no such thing for this caller (or it is another tenant's, which must look the same).
    NotFound,
    /// The state of the thing does not allow it now.
    Conflict,
    /// It was there and is gone for good (an expired cursor).
    Gone,
    /// A limit is reached; later is fine.
    Exhausted,
    /// A dependency does not answer now; later is fine.
    Unavailable,
    /// The deadline passed before the outcome was known.
    Timeout,
    /// Ownership of the shard was lost: whoever holds it now must do it.
    OwnershipLost,
    /// A defect, or corrupt data. Logged with an id, never described to the caller.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed later without any change by the caller.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Exhausted | Self::Unavailable | Self::Timeout | Self::OwnershipLost)
    }
}

/// An error with a stable code for programs and a safe sentence for people.
///
/// Neither `code` nor `detail` may contain message text, numbers, keys or internals; those belong in `source`, which
/// is logged where the error is handled and never sent.
#[derive(Debug)]
pub struct Error {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// Stable and lower-case, such as `queue_full`.
    pub code: &'static str,
    /// What happened and what to do, safe to show to the caller.
    pub detail: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with its stable `code` and a safe `detail`.
    pub fn new(kind: ErrorKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), source: None }
    }

    /// The same error with what caused it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The caller asked for something impossible.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, detail)
    }

    /// No such thing for this caller. One answer for all, so that nothing is learned about other tenants.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, "not_found", "There is no such resource.")
    }

    /// A dependency does not answer now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, "unavailable", detail)
    }

    /// The shard belongs to somebody else now.
    #[must_use]
    pub fn ownership_lost() -> Self {
        Self::new(ErrorKind::OwnershipLost, "ownership_lost", "Another worker owns this instance now; try again.")
    }

    /// A defect or corrupt data; `source` is what the log will show.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "internal", "Something went wrong on our side.").with_source(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
