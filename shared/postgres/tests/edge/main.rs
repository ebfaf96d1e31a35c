//! The edge's writes as several gateways make them at once: two handles over one database are two processes to it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod accept;
mod faults;
mod storm;
mod tenancy;
mod world;
