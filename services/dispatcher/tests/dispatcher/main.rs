//! The dispatcher over a real store and a real bus, posting to a real HTTP server.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod claims;
mod crashes;
mod delivery;
mod order;
mod outage;
mod receiver;
mod replays;
mod signatures;
mod speed;
mod world;
