//! Headers that a caller gives along.

use crate::Refused;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// How many headers a caller may give.
const MAX_HEADERS: usize = 32;

/// The most that all names and values may have together, bytes.
const MAX_BYTES: usize = 8_192;

/// What the HTTP client sets itself, and what belongs to one connection (RFC 9110 7.6.1): a caller's value would change
/// where the request goes or where it ends.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authorization",
    "proxy-authenticate",
];

/// Judges the headers that a caller wants sent along with a post. [`Guard::post`](crate::Guard::post) asks this itself; ask it
/// before, to tell the caller at once.
///
/// # Errors
///
/// [`Refused::ReservedHeader`], [`Refused::HeaderCharacters`], [`Refused::HeaderSize`].
pub fn check<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Result<(), Refused> {
    parsed(headers).map(drop)
}

pub(crate) fn parsed<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Result<HeaderMap, Refused> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_BYTES {
        return Err(Refused::HeaderSize);
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_ref().as_bytes()).map_err(|_| Refused::HeaderCharacters)?;
        if RESERVED.contains(&name.as_str()) {
            return Err(Refused::ReservedHeader);
        }
        let value = value.as_ref();
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(Refused::HeaderCharacters);
        }
        map.append(name, HeaderValue::from_str(value).map_err(|_| Refused::HeaderCharacters)?);
    }
    Ok(map)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ordinary_headers_pass_also_twice() {
        let map = parsed(&[("X-Token", "abc def"), ("Content-Type", "application/json"), ("x-token", "2")]).unwrap();
        assert_eq!(map.get_all("x-token").iter().count(), 2);
        assert_eq!(check::<&str, &str>(&[]), Ok(()));
    }

    /// Bad input 54: `Host:` and `Content-Length` from a caller.
    #[test]
    fn headers_of_the_connection_are_refused_in_any_case() {
        for name in ["Host", "HOST", "content-length", "Transfer-Encoding", "connection", "Upgrade", "Expect", "TE"] {
            let refused = check(&[("X-Fine", "1"), (name, "x")]).unwrap_err();
            assert_eq!((refused, refused.code()), (Refused::ReservedHeader, "header_not_allowed"), "{name}");
        }
    }

    /// Bad input 54: line breaks.
    #[test]
    fn control_characters_are_refused_in_names_and_values() {
        let names = ["X\r\nHost", "X: y", "X ", " X", "", "X\0", "Xé", "Host\n", "Host:", "Host "];
        for name in names {
            assert_eq!(check(&[(name, "x")]), Err(Refused::HeaderCharacters), "{name:?}");
        }
        for value in ["a\r\nHost: b", "a\nb", "a\rb", "a\0b", "a\tb", "a\u{7f}", "é", "\u{85}"] {
            assert_eq!(check(&[("X-Fine", value)]), Err(Refused::HeaderCharacters), "{value:?}");
        }
    }

    #[test]
    fn their_number_and_size_are_bounded() {
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(check(&[("x", &long)]), Err(Refused::HeaderSize));
        assert_eq!(check(&vec![("x", "y"); MAX_HEADERS + 1]), Err(Refused::HeaderSize));
        assert_eq!(check(&vec![("x", "y"); MAX_HEADERS]), Ok(()));
    }
}
