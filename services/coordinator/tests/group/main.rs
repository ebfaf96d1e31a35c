//! Whole groups of coordinators with their workers, over real sockets and files: what they promise under faults.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    reason = "tests"
)]

mod contract;
mod deaths;
mod support;
