//! What the store itself must stand: takeovers, broken connections, restarts, a log that is read while it is written, and
//! opening what is not its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod batches;
mod faults;
mod horizon;
mod lanes;
#[cfg(feature = "fault-injection")]
mod mutations;
mod opening;
mod ownership;
mod reads;
mod retention;
mod world;
