//! What the coordinators and those who ask them say to each other, and the client: [`RaftPlacement`] is placement as the Raft
//! group decides it.
//!
//! Everything is JSON over HTTP, on the coordinators' own port ([`wire`]). Each call is signed ([`credential`]) and made by a
//! [`Caller`], the coordinators' own calls to each other too. With [`tls`] it is HTTPS and nothing else; without, the network
//! between them has to be trusted.

mod attachment;
mod call;
pub mod credential;
mod group;
mod notices;
mod placement;
pub mod status;
pub mod tls;
mod view;
pub mod wire;

pub use call::{Caller, Failure, Request};
pub use credential::Credential;
pub use group::{Group, check, status};
pub use placement::{Attachment, ClientOptions, RaftPlacement};
pub use status::Status;
