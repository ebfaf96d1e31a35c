//! The ports of Warren: what its services need of the outside, as traits. Each trait says in words what an
//! implementation guarantees (order, delivery, atomicity, expiry); the suites in `contract` test each sentence.
//!
//! Services name these traits and nothing else; which technology stands behind them is decided in `services/warren`.

pub mod bus;
pub mod lease;
pub mod ledger;
pub mod limiter;
pub mod moving;
pub mod objects;
pub mod placement;

#[cfg(feature = "contract")]
pub mod contract;
