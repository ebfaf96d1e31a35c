//! Bus, leases, rates and placement inside one process. `warren standalone` and test sandboxes run on them; a cluster runs the
//! same services on NATS, Redis and Raft. Nothing here survives the process, and nothing here needs to.

mod bus;
mod leases;
mod limiter;
mod placement;

pub use bus::Bus;
pub use leases::Leases;
pub use limiter::Limiter;
pub use placement::{EpochFell, Epochs, LocalPlacement};
