//! Phone numbers as callers of the seed write them.
//!
//! The seed serves Indonesian numbers only. Here every country's are served; what the seed reads as Indonesian still is: a
//! leading 0, and a leading 8 without a `+`.

/// Digits that any number has.
const FEWEST: usize = 9;
/// E.164 allows no more.
const MOST: usize = 15;
/// What an Indonesian number has at least, and what may stand behind its country code.
const INDONESIAN_FEWEST: usize = 11;
const INDONESIAN_THIRD: [char; 5] = ['8', '1', '2', '5', '9'];

/// The number in E.164 digits; `None` if it is none.
pub(super) fn format(text: &str) -> Option<String> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '+' | '-' | '(' | ')'));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !is_plain || digits.len() < FEWEST {
        return None;
    }
    let is_international = text.trim_start().starts_with('+');
    let number = match digits.strip_prefix('0') {
        Some(rest) if !is_international => format!("62{rest}"),
        _ if digits.starts_with('8') && !is_international => format!("62{digits}"),
        _ => digits,
    };
    let is_indonesian = number.starts_with("62");
    let fits = number.len() <= MOST && !number.starts_with('0');
    let fits_there =
        number.len() >= INDONESIAN_FEWEST && number.chars().nth(2).is_some_and(|third| INDONESIAN_THIRD.contains(&third));
    (fits && (!is_indonesian || fits_there)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indonesian_numbers_are_read_as_the_seed_reads_them() {
        for text in ["08123456789", "8123456789", "628123456789", "+62 812-3456-789", "(0812) 3456 789"] {
            assert_eq!(format(text).as_deref(), Some("628123456789"), "{text}");
        }
        for text in ["", "0812345", "62312345678", "6281234567", "6281234567890123", "08123456789a", "0812.3456.789"] {
            assert_eq!(format(text), None, "{text}");
        }
    }

    #[test]
    fn other_countries_are_served_too() {
        assert_eq!(format("+1 212 555 0100").as_deref(), Some("12125550100"));
        assert_eq!(format("4915112345678").as_deref(), Some("4915112345678"));
        // Without a plus, an 8 is Indonesian; with one, it is what it says.
        assert_eq!(format("+81 90 1234 5678").as_deref(), Some("819012345678"));
        assert_eq!(format("819012345678").as_deref(), Some("62819012345678"));
        for text in ["+0123456789", "1234567890123456", "１２３４５６７８９"] {
            assert_eq!(format(text), None, "{text}");
        }
    }
}
