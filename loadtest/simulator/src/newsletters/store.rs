//! Newsletters across restarts: one file each, written like those of accounts.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Newsletter, State};
use crate::snapshot;
use crate::world::World;

pub(super) const FOLDER: &str = "newsletters";

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u64,
    owner: u64,
    created: u64,
    invite: String,
    state: State,
}

/// Writes every changed newsletter and removes the files of ended ones; returns how many were written. What cannot be
/// written or removed is tried again in the next round.
pub(crate) fn write_dirty(world: &World, dir: &Path) -> anyhow::Result<usize> {
    let folder = super::folder(dir)?;
    let all: Vec<_> = world.newsletters.read().by_id.values().cloned().collect();
    let mut written = 0;
    for newsletter in all {
        if !newsletter.dirty.swap(false, Ordering::AcqRel) {
            continue;
        }
        if let Err(error) = write(&folder, &newsletter) {
            newsletter.touch();
            return Err(error);
        }
        written += 1;
        world.counters.snapshots.one();
    }
    loop {
        let Some(id) = world.newsletters.read().ended.last().copied() else { break };
        snapshot::remove_file(&folder, id)?;
        world.newsletters.write().ended.retain(|ended| *ended != id);
    }
    Ok(written)
}

fn write(folder: &Path, newsletter: &Newsletter) -> anyhow::Result<()> {
    let stored = Stored {
        id: newsletter.id,
        owner: newsletter.owner,
        created: newsletter.created,
        invite: newsletter.invite.clone(),
        state: newsletter.state().clone(),
    };
    snapshot::write_file(folder, newsletter.id, &serde_json::to_vec(&stored)?)
}

/// Reads every kept newsletter.
pub(crate) fn load(dir: Option<&Path>) -> anyhow::Result<Vec<Newsletter>> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let mut newsletters = Vec::new();
    for bytes in snapshot::read_files(dir, FOLDER)? {
        let Stored { id, owner, created, invite, state } =
            serde_json::from_slice(&bytes?).context("a newsletter file is damaged")?;
        let (state, dirty) = (Mutex::new(state), AtomicBool::new(false));
        newsletters.push(Newsletter { id, owner, created, invite, state, dirty });
    }
    Ok(newsletters)
}
