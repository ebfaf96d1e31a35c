//! Our own transport: it dials, and every byte that leaves goes through its gate.

mod barrier;
mod dial;
mod gate;
mod loss;
mod proxy;
mod socket;

pub(crate) use barrier::Armed;
pub(crate) use dial::{Dialer, tls};
pub(crate) use gate::{GatedFactory, SendGate};
pub(crate) use loss::Loss;
pub(crate) use proxy::{ProxyError, Route};
