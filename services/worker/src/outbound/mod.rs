//! The way out of one instance: its queue, the decisions about each row, the send itself.

mod attachment;
mod audience;
pub(crate) mod content;
pub mod decide;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod send;
pub mod turn;
