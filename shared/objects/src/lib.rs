//! Files of messages in a folder, or in object storage that speaks S3: [`ObjectStorage`] implements
//! [`warren_ports::objects::Objects`] over the `object_store` crate.
//!
//! - A folder is fsynced: bytes, name and the folders above are on disk before a write returns. What a killed process left
//!   half-written is removed when the folder is opened.
//! - Object storage keeps a write that ended with its answer. Parts of an upload that was broken off are removed at once
//!   where that is possible; give the bucket a lifecycle rule for those of a killed process.

mod bucket;
mod folder;
mod storage;

pub use bucket::Bucket;
pub use storage::{ObjectStorage, OpenError};
