//! Groups across restarts: one file a group, written like those of accounts.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Group, State};
use crate::address::Addressing;
use crate::snapshot;
use crate::world::World;

const FOLDER: &str = "groups";

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u64,
    addressing: Addressing,
    creator: u64,
    created: u64,
    state: State,
}

/// Writes every changed group and removes the files of ended ones; returns how many were written. What cannot be
/// written or removed is tried again in the next round.
pub(crate) fn write_dirty(world: &World, dir: &Path) -> anyhow::Result<usize> {
    let folder = snapshot::folder(dir, FOLDER)?;
    let mut written = 0;
    for group in world.groups.all() {
        if !group.take_dirty() {
            continue;
        }
        if let Err(error) = write(&folder, &group) {
            group.touch();
            return Err(error);
        }
        written += 1;
        world.counters.snapshots.one();
    }
    let mut ended = world.groups.ended();
    while let Some(id) = ended.last() {
        snapshot::remove_file(&folder, *id)?;
        ended.pop();
    }
    Ok(written)
}

fn write(folder: &Path, group: &Arc<Group>) -> anyhow::Result<()> {
    let stored = Stored {
        id: group.id,
        addressing: group.addressing,
        creator: group.creator,
        created: group.created,
        state: group.state().clone(),
    };
    snapshot::write_file(folder, group.id, &serde_json::to_vec(&stored)?)
}

/// Reads every kept group.
pub(crate) fn load(dir: Option<&Path>) -> anyhow::Result<Vec<Group>> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let mut groups = Vec::new();
    for bytes in snapshot::read_files(dir, FOLDER)? {
        let stored: Stored = serde_json::from_slice(&bytes?).context("a group file is damaged")?;
        let group = Group::new(stored.id, stored.addressing, stored.creator, stored.created, stored.state);
        group.take_dirty();
        groups.push(group);
    }
    Ok(groups)
}
