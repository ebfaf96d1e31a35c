//! The headers of a post.

use super::{Format, Webhook};
use crate::Timestamp;

/// What a tenant's own headers may not be: they say how the body is written. Headers that begin with `webhook-` are Standard
/// Webhooks' own, one is the seed's.
pub const RESERVED_HEADERS: [&str; 3] = ["content-type", "content-encoding", SEED_SIGNATURE];

/// Whether a tenant may not have a header of this name sent along, because a post has one of its own.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("webhook-") || RESERVED_HEADERS.contains(&name.as_str())
}

/// Why something is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It happened.
    Live,
    /// Its tenant wants it again: marked by the header `webhook-replay: true`.
    Replay,
    /// Its tenant wants to see what is answered: marked by the header `webhook-test: true`.
    Test,
}

/// What the seed's signature stands in.
const SEED_SIGNATURE: &str = "x-sudevwa-signature";

/// The headers of a post to a webhook: its own, and those of Standard Webhooks, or the seed's signature in their place. `id` is
/// the event's, the same in every try; `at` is the moment of this one.
#[must_use]
pub fn request_headers(
    webhook: &Webhook,
    occasion: Occasion,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> Vec<(String, String)> {
    let mut headers = webhook.headers.clone();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add("content-type", "application/json".to_owned());
    add("webhook-id", id.to_owned());
    match webhook.format {
        Format::Standard => {
            add("webhook-timestamp", at.as_seconds().to_string());
            add("webhook-signature", webhook.secrets.signature(id, at, body));
        }
        Format::Seed(_) => add(SEED_SIGNATURE, webhook.secrets.current.hex_signature(body)),
    }
    match occasion {
        Occasion::Live => {}
        Occasion::Replay => add("webhook-replay", "true".to_owned()),
        Occasion::Test => add("webhook-test", "true".to_owned()),
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_post_itself_are_reserved() {
        for name in
            ["webhook-id", "Webhook-Signature", "WEBHOOK-X", "Content-Type", "content-encoding", "X-SUDEVWA-Signature"]
        {
            assert!(is_reserved_header(name), "{name}");
        }
        for name in ["Authorization", "x-webhook-id", "accept", ""] {
            assert!(!is_reserved_header(name), "{name}");
        }
    }
}
