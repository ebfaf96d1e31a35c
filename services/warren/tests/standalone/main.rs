//! The binary as its users run it: real processes, real sockets, real folders.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod first_start;
mod process;
mod refusals;
mod start_and_stop;
mod tools;
