//! Why a post failed: a closed list.

use serde::{Deserialize, Serialize};

/// Why an event was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryFailure {
    /// No answer in time. The event may have arrived.
    TimedOut,
    /// No connection, no TLS that can be trusted, or no HTTP. The event may have arrived.
    Unreachable,
    /// The address, or one that its name leads to, may not be posted to; nothing was sent.
    NotAllowed,
    /// 3xx: redirects are not followed.
    Redirect,
    /// 410: it does not want to be asked again.
    Gone,
    /// 429: too much at once.
    RateLimited,
    /// Another 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// A status that is none of these.
    UnexpectedStatus,
}

impl DeliveryFailure {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::TimedOut,
        Self::Unreachable,
        Self::NotAllowed,
        Self::Redirect,
        Self::Gone,
        Self::RateLimited,
        Self::ClientError,
        Self::ServerError,
        Self::UnexpectedStatus,
    ];

    /// The name as the API, the store and the metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::NotAllowed => "not_allowed",
            Self::Redirect => "redirect",
            Self::Gone => "gone",
            Self::RateLimited => "rate_limited",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::UnexpectedStatus => "unexpected_status",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == name)
    }

    /// What a status means; `None` is 2xx: delivered.
    #[must_use]
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            300..=399 => Some(Self::Redirect),
            410 => Some(Self::Gone),
            429 => Some(Self::RateLimited),
            400..=499 => Some(Self::ClientError),
            500..=599 => Some(Self::ServerError),
            _ => Some(Self::UnexpectedStatus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for failure in DeliveryFailure::ALL {
            assert_eq!(DeliveryFailure::parse(failure.as_str()), Some(failure));
        }
        assert_eq!(DeliveryFailure::parse("bad luck"), None);
    }

    #[test]
    fn only_2xx_is_delivered() {
        for (status, failure) in [
            (200, None),
            (204, None),
            (299, None),
            (199, Some(DeliveryFailure::UnexpectedStatus)),
            (301, Some(DeliveryFailure::Redirect)),
            (304, Some(DeliveryFailure::Redirect)),
            (404, Some(DeliveryFailure::ClientError)),
            (410, Some(DeliveryFailure::Gone)),
            (429, Some(DeliveryFailure::RateLimited)),
            (500, Some(DeliveryFailure::ServerError)),
            (600, Some(DeliveryFailure::UnexpectedStatus)),
        ] {
            assert_eq!(DeliveryFailure::of_status(status), failure, "{status}");
        }
    }
}
