//! How a phone behaves by itself: people of the sandbox who confirm, read, type and answer by rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest that somebody takes, or types, in milliseconds.
const TAKES_LIMIT: u64 = 600_000;
/// Longest that somebody stays away before coming back without being told, in seconds: a week.
const AWAY_LIMIT: u64 = 7 * 24 * 3_600;

/// How a phone behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Habits {
    /// Reads what arrives, and says so.
    pub(crate) auto_read: bool,
    /// Confirms delivery.
    pub(crate) auto_receipt: bool,
    /// An offline phone takes nothing until it is online again.
    pub(crate) online: bool,
    /// Answers the texts of accounts under test with the same words. People do not answer each other: two who do would never
    /// stop.
    pub(crate) echo: bool,
    /// Receipts and answers come this much later, milliseconds.
    pub(crate) slow_ms: u64,
    /// Shows for so long that it is typing before it answers, milliseconds.
    pub(crate) typing_ms: u64,
    /// When an offline phone comes back by itself, in Unix milliseconds.
    pub(crate) back_at_ms: Option<u64>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { auto_read: false, auto_receipt: true, online: true, echo: false, slow_ms: 0, typing_ms: 0, back_at_ms: None }
    }
}

impl Habits {
    pub(crate) fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }

    pub(crate) fn typing(&self) -> Duration {
        Duration::from_millis(self.typing_ms)
    }
}

/// Changes to [`Habits`]; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    auto_read: Option<bool>,
    auto_receipt: Option<bool>,
    online: Option<bool>,
    echo: Option<bool>,
    slow_ms: Option<u64>,
    typing_ms: Option<u64>,
    /// Offline now, and online again after so many seconds.
    offline_for_s: Option<u64>,
}

impl Change {
    /// Why it cannot be made, for people.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.slow_ms.max(self.typing_ms).unwrap_or(0) > TAKES_LIMIT {
            return Err(format!("slow_ms and typing_ms are at most {TAKES_LIMIT}"));
        }
        if self.offline_for_s.is_some_and(|seconds| seconds == 0 || seconds > AWAY_LIMIT) {
            return Err(format!("offline_for_s is between 1 and {AWAY_LIMIT}"));
        }
        if self.offline_for_s.is_some() && self.online.is_some() {
            return Err("either online or offline_for_s".to_owned());
        }
        Ok(())
    }

    /// How long the phone is to stay away, if it is.
    pub(crate) fn away(&self) -> Option<Duration> {
        self.offline_for_s.map(Duration::from_secs)
    }

    pub(crate) fn apply(&self, before: Habits, now_ms: u64) -> Habits {
        let back_at_ms = match (self.online, self.away()) {
            (_, Some(away)) => Some(now_ms.saturating_add(u64::try_from(away.as_millis()).unwrap_or(u64::MAX))),
            (Some(_), None) => None,
            (None, None) => before.back_at_ms,
        };
        Habits {
            auto_read: self.auto_read.unwrap_or(before.auto_read),
            auto_receipt: self.auto_receipt.unwrap_or(before.auto_receipt),
            online: self.online.unwrap_or(before.online) && self.offline_for_s.is_none(),
            echo: self.echo.unwrap_or(before.echo),
            slow_ms: self.slow_ms.unwrap_or(before.slow_ms),
            typing_ms: self.typing_ms.unwrap_or(before.typing_ms),
            back_at_ms,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn change(text: &str) -> Change {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn somebody_is_away_for_a_while_until_told_otherwise() {
        let away = change(r#"{"offline_for_s":2}"#).apply(Habits::default(), 1_000);
        assert_eq!((away.online, away.back_at_ms), (false, Some(3_000)));
        let renamed = change(r#"{"echo":true}"#).apply(away, 1_500);
        assert_eq!((renamed.online, renamed.back_at_ms, renamed.echo), (false, Some(3_000), true));
        let back = change(r#"{"online":true}"#).apply(renamed, 2_000);
        assert_eq!((back.online, back.back_at_ms), (true, None));
    }

    #[test]
    fn what_takes_too_long_is_refused() {
        for text in [r#"{"slow_ms":600001}"#, r#"{"typing_ms":600001}"#, r#"{"offline_for_s":0}"#] {
            assert!(change(text).check().is_err(), "{text}");
        }
        assert!(change(r#"{"offline_for_s":1,"online":true}"#).check().is_err());
        assert!(serde_json::from_str::<Change>(r#"{"ecko":true}"#).is_err());
    }
}
