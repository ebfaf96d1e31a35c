//! `Range`: a download that broke off goes on where it stopped.

use axum::http::{HeaderMap, header};

/// Which part of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it: nothing else was asked for, or nothing that is served (a `Range` may be passed over).
    All,
    /// From a byte on, to the end.
    From(u64),
    /// From beyond its end.
    Beyond,
}

/// What a request asks for of a file of `size` bytes. Served is `bytes=FROM-`, for the version that `If-Range` names.
pub(super) fn asked(headers: &HeaderMap, size: u64, etag: &str) -> Range {
    let is_other = headers.get(header::IF_RANGE).is_some_and(|value| value.as_bytes() != etag.as_bytes());
    let from = headers.get(header::RANGE).filter(|_| !is_other).and_then(|value| from(value.to_str().ok()?));
    match from {
        None => Range::All,
        Some(from) if from >= size => Range::Beyond,
        Some(from) => Range::From(from),
    }
}

fn from(range: &str) -> Option<u64> {
    let (from, to) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let is_a_number = !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_digit());
    if is_a_number && to.is_empty() { from.parse().ok() } else { None }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn serves_the_rest_of_a_file() {
        let of = |range: &str| asked(&HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]), 10, "\"a\"");
        assert_eq!(of("bytes=0-"), Range::From(0));
        assert_eq!(of("bytes=9-"), Range::From(9));
        assert_eq!(of("bytes=10-"), Range::Beyond);
        for other in ["bytes=0-5", "bytes=-5", "bytes=1-,3-", "lines=1-", "bytes=+1-", "bytes=99999999999999999999-", "x"] {
            assert_eq!(of(other), Range::All, "{other}");
        }
        let changed = HeaderMap::from_iter([
            (header::RANGE, "bytes=3-".parse().unwrap()),
            (header::IF_RANGE, "\"b\"".parse().unwrap()),
        ]);
        assert_eq!(asked(&changed, 10, "\"a\""), Range::All);
        assert_eq!(asked(&changed, 10, "\"b\""), Range::From(3));
    }
}
