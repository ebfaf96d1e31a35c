//! The bus over a real NATS server.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod contract;
mod listening;
mod outage;
mod tls;
mod trust;
