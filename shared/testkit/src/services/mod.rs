//! Real servers for tests: Postgres, Redis and NATS as processes of their own, from Debian's packages, on free ports of
//! 127.0.0.1, over fresh folders. They can be killed, stopped, paused and started again; they never outlive the test, not
//! even one that is killed, and leave nothing behind.

mod binary;
mod nats;
mod port;
mod postgres;
mod redis;
mod server;

pub use binary::find;
pub use nats::Nats;
pub use port::Port;
pub use postgres::{Database, Postgres, SHARED_POSTGRES, Stop, query};
pub use redis::Redis;

use std::fmt::Write as _;

/// A password that no other test has: on a machine that people share, a server without one is open to all of them.
fn password() -> String {
    rand::random::<[u8; 16]>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
