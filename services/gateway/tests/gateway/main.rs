//! The gateway over a real store and a real bus, as its clients see it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod bad_input;
mod credentials;
mod described;
mod docs;
mod groups;
mod hostile_http;
mod idempotency;
mod instances;
mod media;
mod messages;
mod operator;
mod queue;
mod rates;
mod seed;
mod stream;
mod stream_limits;
mod support;
mod webhooks;
mod worker;
