//! Media that is expired, damaged or slow on purpose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Name;

/// Files with a fault of their own; one more replaces the first by name.
const FILE_FAULTS: usize = 10_000;

/// What happens to downloads of one file, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// The answer in place of the file. Clients take 404 and 410 for an expired one, 401 and 403 for a stale token.
    pub(crate) status: Option<u16>,
    /// One bit in the middle is another.
    pub(crate) corrupt: bool,
    /// No faster than this.
    pub(crate) bytes_per_second: Option<u64>,
}

/// Changes to a [`Fault`]; what is absent stays. 0 takes `status`, `bytes_per_second` and `upload_status` back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// One file; all without it.
    pub(crate) direct_path: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) corrupt: Option<bool>,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) upload_status: Option<u16>,
}

/// Everything that goes wrong with media.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Faults {
    /// Of every file without a fault of its own.
    pub(crate) all: Fault,
    /// By direct path.
    pub(crate) files: BTreeMap<String, Fault>,
    /// The answer to every upload.
    pub(crate) upload_status: Option<u16>,
}

impl Faults {
    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(status) = change.upload_status {
            self.upload_status = (status != 0).then_some(status);
        }
        let fault = match &change.direct_path {
            None => &mut self.all,
            Some(path) => {
                if self.files.len() >= FILE_FAULTS && !self.files.contains_key(path) {
                    self.files.pop_first();
                }
                self.files.entry(path.clone()).or_default()
            }
        };
        if let Some(status) = change.status {
            fault.status = (status != 0).then_some(status);
        }
        fault.corrupt = change.corrupt.unwrap_or(fault.corrupt);
        if let Some(rate) = change.bytes_per_second {
            fault.bytes_per_second = (rate != 0).then_some(rate);
        }
    }

    pub(super) fn of(&self, name: &Name) -> Fault {
        self.files.get(&name.direct_path()).copied().unwrap_or(self.all)
    }
}
