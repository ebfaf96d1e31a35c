//! Streams of the event log: one tail a tenant reads it and fans out, one session a socket delivers it.

pub(crate) mod cursor;
mod feed;
pub(crate) mod render;
mod session;
mod tail;
pub(crate) mod tickets;

pub(crate) use feed::{Feed, Filter};
pub(crate) use session::Session;
pub(crate) use tail::{Rendered, Tails};
