//! The real binary, driven from outside: HTTP, WebSocket, signals, and a simulator that lives through everything.
//!
//! Every test starts its own processes on free ports over its own folder. Nothing waits for a fixed time; conditions have
//! generous deadlines, because tests share the machine.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod canary;
mod chats;
mod clean_stop;
mod contacts;
mod contents;
mod document;
#[cfg(feature = "fault-injection")]
mod faults;
mod files;
mod fuzz;
#[cfg(feature = "fault-injection")]
mod group_faults;
mod groups;
mod history;
mod inputs;
mod main_path;
mod media;
mod moving;
#[cfg(feature = "fault-injection")]
mod mutations;
mod pairing;
mod pairing_code;
mod proxy;
mod queue;
#[cfg(feature = "fault-injection")]
mod recovery;
mod refusals;
mod seed;
mod store;
mod stream_errors;
mod traffic;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use warren_testkit::Stage;

/// The binary under test: where the test runner says it is, or else where it was when this was compiled.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        std::env::var_os("CARGO_BIN_EXE_warren").map_or_else(|| env!("CARGO_BIN_EXE_warren").into(), Into::into)
    })
}

/// A simulator and a Warren over fresh folders.
async fn stage() -> Stage {
    Stage::start(binary()).await.unwrap()
}
