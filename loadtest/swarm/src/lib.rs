//! The checkers of the invariants: pure functions over a [`History`] of what the API acknowledged, what the simulator saw
//! and what the event log says. A checker that cannot fail is worth nothing, so each has a test with a broken history.
//!
//! [`load`] makes the load that they are held against, through the public API, at a rate that does not wait for answers;
//! [`witness`] gathers what happened; [`faults`] breaks a whole cluster under it.
//!
//! | invariant | checker |
//! |---|---|
//! | I1 no acknowledged send lost | [`invariant::loss::outbound`] |
//! | I2a a recipient that drops repeated ids sees no duplicate | [`invariant::duplicate::distinct_ids`] |
//! | I2b nor does one that does not drop ids | [`invariant::duplicate::same_id`] |
//! | I3 one owner | [`invariant::one_owner`] |
//! | I4 no inbound message lost, none twice in the log, each event delivered | [`invariant::loss::inbound`], [`invariant::duplicate::inbound`], [`invariant::delivery`] |
//! | I5 order per chat, a gapless log, streams and webhooks in its order | [`invariant::order`], [`invariant::stream`] |
//! | I6 Signal sessions intact | [`invariant::session`] |
//! | I7 bounded memory | [`invariant::bounded`] |
//! | I8 tenants isolated | [`invariant::isolated`] |
//! | I9 it heals itself | [`invariant::heals`] |

pub mod faults;
pub mod history;
pub mod invariant;
pub mod load;
mod place;
mod report;
mod simulator;
pub mod witness;

pub use history::History;
pub use invariant::{Invariant, Violation, check};
pub use place::{Endpoints, Place};
pub use report::Report;
pub use simulator::{Account, Device, Habits, Simulator, Stats, Trust};

/// An HTTP client that goes through no proxy.
fn http_client(limit: std::time::Duration) -> anyhow::Result<reqwest::Client> {
    // Whoever installed one first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().timeout(limit).build()?)
}
