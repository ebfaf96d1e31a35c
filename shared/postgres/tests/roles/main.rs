//! What the roles of services may do and see, and that it is enough: whoever connects here is none of the owner's.

#![expect(clippy::unwrap_used, reason = "tests")]

mod contract;
mod isolation;
mod lanes;
mod making;
mod rights;
mod services;
mod world;
