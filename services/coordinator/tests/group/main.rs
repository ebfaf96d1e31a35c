//! Whole groups of coordinators with their workers, over real sockets and files: what they promise under faults.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calls;
mod chaos;
mod contract;
mod deaths;
mod elections;
mod moves;
mod restarts;
mod status;
mod support;
mod tls;
