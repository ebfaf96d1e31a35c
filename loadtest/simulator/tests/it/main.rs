//! The simulator from outside: unmodified clients, raw sockets, the admin API.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod app_state;
mod calls;
mod communities;
mod contacts;
mod contents;
mod conversations;
mod faults;
mod groups;
mod history;
mod hostile;
mod https;
mod media;
mod newsletters;
mod pairing_code;
mod peer;
mod privacy;
mod restrictions;
mod rules;
mod sandbox;
mod support;
mod tokens;
mod trouble;
mod wire;
