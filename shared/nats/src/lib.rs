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
//! to its subjects, and good for a minute at most, by the clock of whoever hears it. A request is carried out once by an owner,
//! however often it is repeated; where clocks are apart or are set back, or the shard changes hands meanwhile, somebody who kept
//! the frame and reaches the NATS server can have it carried out once more.
//!
//! Whether a frame is old is judged by the clocks of two machines. A request that is too old, from the future, over already or older
//! than its server, by the clock of the one that is asked, is counted as `stale` and answered with what that process has for a
//! clock that nobody sets; it is made again by that one while somebody waits, for that process alone. So a clock that is wrong
//! costs a round trip and no request. A ring by such a clock is refused: what it would have told of the log is found by looking,
//! seconds later, and what is true for a moment only (`Ring::Ephemeral`) is not told.

mod bus;
mod clock;
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
