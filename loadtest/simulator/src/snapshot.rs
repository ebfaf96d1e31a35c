//! What outlives a restart. Kept: accounts with their linked devices, published keys, queues, sessions of the phones,
//! inboxes, app state; groups. Not kept: connections, counters, the ledger, injected trouble, pairings in progress.
//!
//! One file an account and one a group, written anew at most a second after it changed and at shutdown, through a temporary file and a
//! rename. A power cut or `kill -9` may lose the last second, which the real service would not.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::account::{Account, Device, PublishedKeys, State};
use crate::app_state::Collection;
use crate::blocklist::Blocked;
use crate::habits::Habits;
use crate::handset::{AppStateKey, Handset, Inbox, Item, Sessions, StoredKeys, StoredSenderKeys};
use crate::privacy::Privacy;
use crate::profile::{Chats, Profile};
use crate::queue::{Class, Queue};
use crate::traits::Traits;
use crate::world::World;
use crate::{groups, newsletters};

const FOLDER: &str = "accounts";
const INTERVAL: Duration = Duration::from_secs(1);
/// Writing takes at most this part of the time: after a slow round the next one waits longer.
const REST_FACTOR: u32 = 4;

#[derive(Serialize, Deserialize)]
struct StoredAccount {
    phone: u64,
    lid: u64,
    name: String,
    next_device: u16,
    next_key_index: u32,
    raw_id: u32,
    devices_changed: u64,
    paired: bool,
    lid_migrated: bool,
    habits: Habits,
    devices: Vec<StoredDevice>,
    collections: std::collections::BTreeMap<String, Collection>,
    keys: StoredKeys,
    app_state_key: AppStateKey,
    sessions: Vec<(String, String)>,
    #[serde(default)]
    sender_keys: StoredSenderKeys,
    #[serde(default)]
    traits: Traits,
    #[serde(default)]
    registered_as: Option<String>,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    chats: Chats,
    #[serde(default)]
    blocked: Blocked,
    #[serde(default)]
    privacy: Privacy,
    inbox: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct StoredDevice {
    id: u16,
    key_index: u32,
    noise_key: String,
    identity: String,
    device_identity: String,
    keys: Option<PublishedKeys>,
    /// 35 bytes each: three of the id, 32 of the key.
    one_time: String,
    logins: u64,
    replaced: u64,
    queue: Vec<StoredStanza>,
}

#[derive(Serialize, Deserialize)]
struct StoredStanza {
    class: Class,
    id: String,
    from: u64,
    stanza: String,
}

/// Writes what changed until the server stops; the last round is [`Simulator::shutdown`](crate::Simulator::shutdown)'s.
pub(crate) async fn keep(world: Arc<World>) {
    let mut pause = INTERVAL;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = world.stop.cancelled() => return,
        }
        let started = Instant::now();
        let shared = Arc::clone(&world);
        let written = tokio::task::spawn_blocking(move || write_dirty(&shared)).await;
        if let Ok(Err(error)) = written {
            world.counters.snapshots_failed.one();
            tracing::error!(%error, "snapshot.write.failed");
        }
        pause = INTERVAL.max(started.elapsed() * REST_FACTOR);
    }
}

/// Writes every changed account and group; returns how many. What cannot be written stays marked as changed.
pub(crate) fn write_dirty(world: &World) -> anyhow::Result<usize> {
    let Some(dir) = world.options.state_dir() else { return Ok(0) };
    let folder = folder(dir, FOLDER)?;
    let mut written = 0;
    for account in world.directory.all() {
        if !account.take_dirty() {
            continue;
        }
        if let Err(error) = write(&folder, &account) {
            account.touch();
            return Err(error);
        }
        written += 1;
        world.counters.snapshots.one();
    }
    Ok(written + groups::store::write_dirty(world, dir)? + newsletters::write_dirty(world, dir)?)
}

/// Reads every kept account.
pub(crate) fn load(dir: Option<&Path>, options: &Options) -> anyhow::Result<Vec<Account>> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let mut accounts = Vec::new();
    for bytes in read_files(dir, FOLDER)? {
        let stored: StoredAccount = serde_json::from_slice(&bytes?).context("an account file is damaged")?;
        accounts.push(stored.restore(options)?);
    }
    Ok(accounts)
}

/// A folder for snapshots, made if it is not there.
pub(crate) fn folder(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = dir.join(name);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).context("creating a snapshot folder")?;
    Ok(folder)
}

/// The content of every snapshot in a folder; none when there is no folder.
pub(crate) fn read_files(dir: &Path, name: &str) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Vec<u8>>> + use<>> {
    let entries = match fs::read_dir(dir.join(name)) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("reading a snapshot folder"),
    };
    let paths = entries.into_iter().flatten().map(|entry| entry.map(|entry| entry.path()));
    let files = paths.filter(|path| path.as_ref().is_ok_and(|path| path.extension().is_some_and(|kind| kind == "json")));
    Ok(files.map(|path| fs::read(path?).context("reading a snapshot file")))
}

/// Removes the snapshot of this number, if there is one.
pub(crate) fn remove_file(folder: &Path, number: u64) -> anyhow::Result<()> {
    match fs::remove_file(folder.join(format!("{number}.json"))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("removing a snapshot file"),
        _ => Ok(()),
    }
}

fn write(folder: &Path, account: &Account) -> anyhow::Result<()> {
    write_file(folder, account.phone, &serde_json::to_vec(&StoredAccount::of(account))?)
}

/// Writes the snapshot of this number: the old one, or the new one, is there at any time.
pub(crate) fn write_file(folder: &Path, number: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(format!("{number}.json"));
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .context("creating a snapshot file")?;
    file.write_all(bytes).context("writing a snapshot file")?;
    drop(file);
    fs::rename(&temporary, &path).context("putting a snapshot file in place")
}

impl StoredAccount {
    fn of(account: &Account) -> Self {
        let (keys, app_state_key, sessions, sender_keys, inbox) = {
            let handset = account.handset();
            (
                handset.keys.store(),
                handset.app_state_key.clone(),
                handset.sessions.store(),
                handset.sender_keys.store(),
                handset.inbox.items().cloned().collect(),
            )
        };
        let sessions = sessions.into_iter().map(|(name, record)| (name, BASE64_STANDARD.encode(record))).collect();
        let state = account.state();
        Self {
            phone: account.phone,
            lid: account.lid,
            name: state.name.clone(),
            next_device: state.next_device,
            next_key_index: state.next_key_index,
            raw_id: state.raw_id,
            devices_changed: state.devices_changed,
            paired: state.paired,
            lid_migrated: state.lid_migrated,
            habits: state.habits,
            traits: state.traits,
            registered_as: state.registered_as.clone(),
            profile: state.profile.clone(),
            chats: state.chats.clone(),
            blocked: state.blocked.clone(),
            privacy: state.privacy.clone(),
            devices: state.devices.iter().map(|(id, device)| StoredDevice::of(*id, device)).collect(),
            collections: state.collections.clone(),
            keys,
            app_state_key,
            sessions,
            sender_keys,
            inbox,
        }
    }

    fn restore(self, options: &Options) -> anyhow::Result<Account> {
        let keys = self.keys.restore()?;
        let identity = keys.identity.pair.clone();
        let mut sessions = Vec::with_capacity(self.sessions.len());
        for (name, record) in self.sessions {
            sessions.push((name, BASE64_STANDARD.decode(record)?));
        }
        let mut handset = Handset::with(keys, Sessions::restore(sessions)?, self.app_state_key, Inbox::restore(self.inbox));
        handset.sender_keys = self.sender_keys.restore()?;
        let mut state = State::new(self.name, self.raw_id, self.lid_migrated);
        state.next_device = self.next_device;
        state.next_key_index = self.next_key_index;
        state.devices_changed = self.devices_changed;
        state.paired = self.paired;
        state.habits = self.habits;
        state.traits = self.traits;
        state.registered_as = self.registered_as;
        state.profile = self.profile;
        state.chats = self.chats;
        state.blocked = self.blocked;
        state.privacy = self.privacy;
        state.collections = self.collections;
        state.collections.values_mut().for_each(Collection::settle);
        for stored in self.devices {
            let (id, device) = stored.restore(options, &mut state)?;
            state.devices.insert(id, device);
        }
        let account = Account::new(self.phone, self.lid, identity, state, handset);
        account.take_dirty();
        Ok(account)
    }
}

impl StoredDevice {
    fn of(id: u16, device: &Device) -> Self {
        let mut one_time = Vec::with_capacity(device.one_time.len() * 35);
        for (id, key) in &device.one_time {
            let [_, rest @ ..] = id.to_be_bytes();
            one_time.extend_from_slice(&rest);
            one_time.extend_from_slice(key);
        }
        Self {
            id,
            key_index: device.key_index,
            noise_key: hex::encode(device.noise_key),
            identity: hex::encode(device.identity),
            device_identity: BASE64_STANDARD.encode(&device.device_identity),
            keys: device.keys.clone(),
            one_time: BASE64_STANDARD.encode(one_time),
            logins: device.logins,
            replaced: device.replaced,
            queue: device
                .queue
                .iter()
                .filter(|entry| entry.class != Class::Ephemeral)
                .map(|entry| StoredStanza {
                    class: entry.class,
                    id: entry.id.clone(),
                    from: entry.from,
                    stanza: BASE64_STANDARD.encode(&entry.stanza),
                })
                .collect(),
        }
    }

    fn restore(self, options: &Options, state: &mut State) -> anyhow::Result<(u16, Device)> {
        let key32 = |text: &str| -> anyhow::Result<[u8; 32]> {
            hex::decode(text)?.try_into().map_err(|_| anyhow::anyhow!("a kept key is not 32 bytes"))
        };
        let identity = BASE64_STANDARD.decode(&self.device_identity)?;
        let mut device = Device::new(self.key_index, key32(&self.noise_key)?, key32(&self.identity)?, identity);
        device.keys = self.keys;
        device.logins = self.logins;
        device.replaced = self.replaced;
        for entry in BASE64_STANDARD.decode(&self.one_time)?.chunks_exact(35) {
            if let Some(([high, middle, low], key)) = entry.split_first_chunk::<3>()
                && let Ok(key) = key.try_into()
            {
                device.one_time.push_back((u32::from_be_bytes([0, *high, *middle, *low]), key));
            }
        }
        let mut queue = Queue::default();
        for entry in self.queue {
            let stanza = Bytes::from(BASE64_STANDARD.decode(&entry.stanza)?);
            let ledger = (entry.class == Class::Message)
                .then(|| state.ledger.emit(&entry.id, entry.from.to_string(), self.id, options.ledger_limit));
            queue.push(entry.class, entry.id, entry.from, stanza, ledger, options.queue_limit);
        }
        device.queue = queue;
        Ok((self.id, device))
    }
}
