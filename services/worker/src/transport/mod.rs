//! Our own transport: it dials, and every byte that leaves goes through its gate.

mod barrier;
mod dial;
mod gate;

pub(crate) use barrier::Armed;
pub(crate) use dial::Dialer;
pub(crate) use gate::{GatedFactory, SendGate};
