//! The bus over core NATS: requests to the owner of a shard, and rings.
//!
//! Subjects, below `wrn.<cluster>.`: `cmd.<shard>` asks the owner of a shard, `out.<shard>` rings it, `evt.<tenant>` rings the
//! readers of a tenant's log, `set.<message>` whoever waits for a message to settle. Answers go to
//! `_INBOX_<service>.<start>.<request>`, which only the asking service has to be allowed to hear; it also speaks to itself there,
//! which tells whether a connection works.
//!
//! Nobody else should listen to `cmd.>`: where somebody listens, NATS does not say that nobody serves, and a request that meets
//! a failover times out instead of being made again.
//!
//! Whoever can speak to the NATS server is not believed for that: every frame is authenticated with the cluster's secret, bound
//! to its subjects, and good for a minute at most. A request is carried out once, however often it is repeated.
//!
//! The deadline of a request is judged by the clocks of two machines: they must agree to well within a second, as any time
//! service keeps them. Where they do not, requests time out and are counted as `stale`.

mod bus;
mod connect;
mod envelope;
mod link;
mod metrics;
mod options;
mod pending;
mod request;
mod rings;
mod seen;
mod serve;
mod subjects;

pub use bus::Bus;
pub use connect::{Checked, ConnectError, check, connect};
pub use metrics::Metrics;
pub use options::Options;
