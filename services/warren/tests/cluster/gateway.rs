//! Fault 3: SIGKILL of a gateway.

#![expect(clippy::indexing_slicing, reason = "tests")]

use crate::outcomes;

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gives_the_same_message_and_a_stream_resumes_without_a_gap() {
    let outcome = outcomes(3, &["killed"]).await.remove(0);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.measured["stream_connections"] >= 2.0, "the stream never resumed");
}
