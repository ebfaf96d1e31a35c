//! Real processes for tests: the `warren` binary and its simulator as children that can be killed, and clients of what
//! they speak: the public API, the event stream, the simulator's admin API. [`services`] are the servers of a cluster.
//!
//! Nothing here sleeps for a fixed time to let something happen: [`eventually`] waits for a condition with a deadline.

mod api;
mod chaos;
pub mod cluster;
mod eventually;
mod model;
mod process;
pub mod services;
mod simulator;
mod socket;
mod stage;
mod stream;
mod tether;
mod warren;

pub use api::{Answer, Api, Draft};
pub use chaos::{Chaos, Counts, Direction};
pub use eventually::{PATIENCE, eventually};
pub use model::{Event, Instance, Message, Pairing};
pub use process::{Ended, Process};
pub use simulator::{GroundTruth, Inbox, InboxMessage, Person, Scanned, Simulator, TruthAccepted, TruthEmitted};
pub use socket::Socket;
pub use stage::{Paired, Stage};
pub use stream::Stream;
pub use warren::{BACKEND, Backend, Keys, Network, Options, Warren, memory_of};
