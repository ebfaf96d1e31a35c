//! The simulator from outside: unmodified clients, raw sockets, the admin API.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod conversations;
mod faults;
mod support;
mod wire;
