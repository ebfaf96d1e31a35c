//! Phone numbers as people write them, and as WhatsApp knows them.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// How long an answer is good: a number seldom leaves, and may join any day.
const REGISTERED_FOR: Duration = Duration::from_hours(7 * 24);
const UNREGISTERED_FOR: Duration = Duration::from_hours(24);

/// What WhatsApp said of a number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberCheck {
    /// The number that was asked about: E.164 digits without `+`.
    pub phone: String,
    /// The address of its account, by the number that WhatsApp knows it by; `None`: it has none.
    pub jid: Option<String>,
    /// The account's hidden address, if WhatsApp told it.
    pub lid: Option<String>,
}

impl NumberCheck {
    /// Whether the number has an account.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.jid.is_some()
    }
}

impl fmt::Debug for NumberCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberCheck(..)")
    }
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNumber {
    /// The answer.
    pub check: NumberCheck,
    /// When WhatsApp gave it.
    pub checked_at: Timestamp,
}

impl KnownNumber {
    /// How long any answer is kept.
    pub const KEPT: Duration = REGISTERED_FOR;

    /// The address of the account, if there is one.
    #[must_use]
    pub fn into_address(self) -> Option<String> {
        self.check.jid
    }

    /// Whether the answer still counts: 7 days for a number with an account, 1 day for one without. One from the future was
    /// written while a clock was wrong, and does not.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let good_for = if self.check.is_registered() { REGISTERED_FOR } else { UNREGISTERED_FOR };
        self.checked_at <= now && now < self.checked_at.after(good_for)
    }
}

/// The other way the same number is written, in the countries that have two: Brazil's mobile numbers with or without the
/// ninth digit, Mexico's with or without the 1 after 52, Argentina's with or without the 9 after 54. An account has one of
/// them, the one it was registered with; only WhatsApp knows which. Takes and gives E.164 digits without `+`.
#[must_use]
pub fn other_form(phone: &str) -> Option<String> {
    let (country, rest) = (phone.get(..2)?, phone.get(2..)?);
    match (country, rest.len()) {
        ("55", 10) => Some(format!("55{}9{}", rest.get(..2)?, rest.get(2..)?)),
        ("55", 11) if rest.get(2..3) == Some("9") => Some(format!("55{}{}", rest.get(..2)?, rest.get(3..)?)),
        ("52", 10) => Some(format!("521{rest}")),
        ("52", 11) if rest.starts_with('1') => Some(format!("52{}", rest.get(1..)?)),
        ("54", 10) => Some(format!("549{rest}")),
        ("54", 11) if rest.starts_with('9') => Some(format!("54{}", rest.get(1..)?)),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn two_forms_lead_to_each_other() {
        for (one, other) in
            [("551187654321", "5511987654321"), ("525512345678", "5215512345678"), ("541112345678", "5491112345678")]
        {
            assert_eq!(other_form(one).unwrap(), other);
            assert_eq!(other_form(other).unwrap(), one);
        }
        for single in ["6281100000001", "5511887654321", "12125550100", "4917012345678", "52", "", "5é1234567890"] {
            assert_eq!(other_form(single), None, "{single}");
        }
    }

    #[test]
    fn an_answer_is_good_for_a_week_or_a_day() {
        let known = |jid: Option<&str>| KnownNumber {
            check: NumberCheck { phone: "628123".into(), jid: jid.map(str::to_owned), lid: None },
            checked_at: Timestamp::from_millis(1_000_000),
        };
        let after = |span: Duration| Timestamp::from_millis(1_000_000).after(span);
        let (here, gone) = (known(Some("628123@s.whatsapp.net")), known(None));
        let day = Duration::from_hours(24);
        assert!(here.is_fresh(after(6 * day)) && !here.is_fresh(after(7 * day)));
        assert!(gone.is_fresh(after(day / 2)) && !gone.is_fresh(after(day)));
        assert!(!here.is_fresh(Timestamp::from_millis(999_999)));
    }
}
