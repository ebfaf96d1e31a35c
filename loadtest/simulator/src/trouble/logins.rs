//! Refused logins: for what reason, how often, and how many a second pass at all.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// The reason of a login that is one too many.
pub(crate) const TOO_MANY: u16 = 503;

/// `<failure>` instead of `<success>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// 400 to 599: 401 is not linked, 402 banned for a time, 403 banned, 503 try again.
    pub(crate) reason: u16,
    /// Of a temporary ban: why (101 to 106 are known to clients).
    #[serde(default)]
    pub(crate) code: Option<u16>,
    /// Of a temporary ban: how much longer, in seconds.
    #[serde(default)]
    pub(crate) expire_s: Option<u64>,
}

impl From<u16> for Failure {
    fn from(reason: u16) -> Self {
        Self { reason, code: None, expire_s: None }
    }
}

impl Failure {
    /// As clients read it. (whatsapp-rust 0.7: `handle_connect_failure`.)
    pub(crate) fn node(self) -> Node {
        let mut node = NodeBuilder::new("failure").attr("reason", self.reason);
        if let Some(code) = self.code {
            node = node.attr("code", code);
        }
        if let Some(seconds) = self.expire_s {
            node = node.attr("expire", seconds);
        }
        node.build()
    }
}

/// The next logins that are refused.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Refusing {
    next: Option<(Failure, u32)>,
}

impl Refusing {
    /// Refuses the next `count` logins.
    pub(crate) fn set(&mut self, failure: Failure, count: u32) {
        self.next = (count > 0).then_some((failure, count));
    }

    /// Why this login is refused.
    pub(crate) fn take(&mut self) -> Option<Failure> {
        let (failure, count) = self.next?;
        self.set(failure, count - 1);
        Some(failure)
    }
}

/// How many logins passed in the present second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Second {
    since: Option<Instant>,
    passed: u64,
}

impl Second {
    /// Whether one more passes, of at most `limit` a second.
    pub(super) fn admits(&mut self, limit: u64, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Self { since: Some(now), passed: 0 };
        }
        self.passed += 1;
        self.passed <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_logins() {
        let (mut second, start) = (Second::default(), Instant::now());
        let admitted = |second: &mut Second, ms| second.admits(2, start + Duration::from_millis(ms));
        let passed = [0, 10, 20, 999, 1_000, 1_001, 1_002].map(|ms| admitted(&mut second, ms));
        assert_eq!(passed, [true, true, false, false, true, true, false]);
    }

    #[test]
    fn so_many_logins_are_refused() {
        let mut refusing = Refusing::default();
        assert_eq!(refusing.take(), None);
        refusing.set(403.into(), 2);
        assert_eq!([refusing.take(), refusing.take(), refusing.take()], [Some(403.into()), Some(403.into()), None]);
    }
}
