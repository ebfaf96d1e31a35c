//! The simulator from outside: unmodified clients, raw sockets, the admin API.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod contacts;
mod contents;
mod conversations;
mod faults;
mod groups;
mod hostile;
mod https;
mod media;
mod pairing_code;
mod peer;
mod restrictions;
mod rules;
mod sandbox;
mod support;
mod wire;
