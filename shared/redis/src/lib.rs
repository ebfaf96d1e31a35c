//! Leases and rates in Redis. It holds nothing that would be missed: flushed, restarted or away, it stops no account.

mod connection;
mod leases;
mod limiter;

pub use connection::{ConnectError, Options, Redis, check};
pub use leases::Leases;
pub use limiter::Limiter;
