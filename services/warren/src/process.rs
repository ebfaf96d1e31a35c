//! What the process asks of the operating system.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// A socket an instance, a few for each WebSocket: with fewer descriptors than this, ten thousand instances do not fit.
const DESCRIPTORS: u64 = 65_536;

/// Prepares the process for serving: no memory image of it is ever written, as there are keys in it; and as many open
/// files as it may have.
pub(crate) fn prepare() {
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        tracing::warn!("core dumps could not be turned off");
    }
    match raise_descriptors() {
        Some(limit) if limit < DESCRIPTORS => {
            tracing::info!(limit, "open files are limited; raise `ulimit -Hn` for thousands of instances");
        }
        Some(_) => {}
        None => tracing::warn!("the limit of open files could not be raised"),
    }
}

/// How many files this process may open at most.
pub(crate) fn descriptors() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).ok()?;
    // None is "no limit".
    Some(limit.maximum.unwrap_or(u64::MAX))
}
