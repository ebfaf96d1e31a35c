//! The checkers of the invariants: pure functions over a [`History`] of what the API acknowledged, what the simulator saw
//! and what the event log says. A checker that cannot fail is worth nothing, so each has a test with a broken history.
//!
//! | invariant | checker |
//! |---|---|
//! | I1 no acknowledged send lost | [`invariant::loss::outbound`] |
//! | I2a a recipient that drops repeated ids sees no duplicate | [`invariant::duplicate::distinct_ids`] |
//! | I2b nor does one that does not drop ids | [`invariant::duplicate::same_id`] |
//! | I4 no inbound message lost, none twice in the log | [`invariant::loss::inbound`], [`invariant::duplicate::inbound`] |
//! | I5 order per chat, a gapless log | [`invariant::order`] |
//! | I6 Signal sessions intact | [`invariant::session`] |

pub mod history;
pub mod invariant;
mod report;

pub use history::History;
pub use invariant::{Invariant, Violation, check};
pub use report::Report;
