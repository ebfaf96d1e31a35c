//! An account's app state as the server keeps it: numbered patches, and the records they leave behind, as a snapshot for
//! companions that are too far behind. The server cannot read any of it; only devices with the app state key can.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore::appstate::hash::HashState;
use wacore::download::{DownloadUtils, MediaType};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{
    ExternalBlobReference, KeyId, SyncdMutation, SyncdMutations, SyncdPatch, SyncdRecord, SyncdSnapshot, SyncdVersion,
};

use crate::account::Account;
use crate::media;
use crate::notification::{self, Notification};
use crate::stanza;
use crate::world::World;

/// Patches kept of one collection; who is further behind gets a snapshot.
const PATCH_LIMIT: usize = 1_000;
/// A companion that asks for a snapshot and lacks more patches than this gets one; fewer come as they are.
const SNAPSHOT_AFTER: u64 = 32;
/// Records of one collection.
const RECORD_LIMIT: usize = 20_000;
/// The MAC at the end of a record's value.
const MAC_BYTES: usize = 32;

/// A patch that is none, or one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusable;

/// One collection of an account's app state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Collection {
    version: u64,
    /// Encoded patches with their versions, oldest first.
    patches: Vec<(u64, Vec<u8>)>,
    /// Encoded records, by the index MAC in hex.
    #[serde(default)]
    records: BTreeMap<String, Vec<u8>>,
    /// What the last patch says of the records: the author's MAC over them, and the key it was made with.
    #[serde(default)]
    snapshot_mac: Vec<u8>,
    #[serde(default)]
    key_id: Vec<u8>,
    /// The reference to the stored snapshot of a version.
    #[serde(skip)]
    stored: Option<(u64, Vec<u8>)>,
}

impl Collection {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Index MACs in hex and values of the records.
    pub(crate) fn records(&self) -> impl Iterator<Item = SyncdRecord> {
        self.records.values().filter_map(|record| SyncdRecord::decode_from_slice(record).ok())
    }

    /// Numbers and keeps a patch, and does to the records what it says.
    pub(crate) fn append(&mut self, media: &media::Store, encoded: &[u8]) -> Result<(), Unusable> {
        let mut patch = SyncdPatch::decode_from_slice(encoded).map_err(|_| Unusable)?;
        let outside = match patch.external_mutations.as_option() {
            Some(reference) => Some(fetch(media, reference).ok_or(Unusable)?),
            None => None,
        };
        let mutations = outside.as_ref().map_or(&patch.mutations, |outside| &outside.mutations);
        if self.records.len() + mutations.len() > RECORD_LIMIT {
            return Err(Unusable);
        }
        for mutation in mutations {
            self.apply(mutation)?;
        }
        self.version += 1;
        self.snapshot_mac = patch.snapshot_mac.clone().unwrap_or_default();
        self.key_id = patch.key_id.as_option().and_then(|key| key.id.clone()).unwrap_or_default();
        patch.version = MessageField::some(SyncdVersion { version: Some(self.version) });
        self.patches.push((self.version, patch.encode_to_vec()));
        if self.patches.len() > PATCH_LIMIT {
            self.patches.remove(0);
        }
        Ok(())
    }

    fn apply(&mut self, mutation: &SyncdMutation) -> Result<(), Unusable> {
        let record = mutation.record.as_option().ok_or(Unusable)?;
        let index = record.index.as_option().and_then(|index| index.blob.as_deref()).ok_or(Unusable)?;
        let place = hex::encode(index);
        let removes = mutation.operation.is_some_and(|operation| operation == SyncdOperation::REMOVE);
        if removes {
            self.records.remove(&place);
        } else {
            self.records.insert(place, record.encode_to_vec());
        }
        Ok(())
    }

    /// The MAC of the value that stands at an index.
    pub(crate) fn value_mac(&self, index_mac: &[u8]) -> Option<Vec<u8>> {
        let record = SyncdRecord::decode_from_slice(self.records.get(&hex::encode(index_mac))?).ok()?;
        record.value.as_option()?.blob.as_deref()?.last_chunk::<MAC_BYTES>().map(|mac| mac.to_vec())
    }

    /// The hash over all records, as whoever writes the next patch needs it.
    pub(crate) fn hash(&self) -> HashState {
        let mut hash = HashState { version: self.version, ..HashState::default() };
        let records: Vec<SyncdRecord> = self.records().collect();
        hash.update_hash_from_records(&records);
        hash
    }

    /// What a companion at `base` lacks, as children of its `<collection>`. Stores the snapshot when it needs one.
    pub(crate) fn after(
        &mut self,
        media: &media::Store,
        base: u64,
        wants_snapshot: bool,
    ) -> Result<Vec<Node>, media::Error> {
        let missing = self.version.saturating_sub(base);
        let gap = self.patches.first().is_some_and(|(oldest, _)| base + 1 < *oldest);
        if gap || (wants_snapshot && base == 0 && missing > SNAPSHOT_AFTER) {
            return Ok(vec![stanza::bytes("snapshot", self.stored_snapshot(media)?)]);
        }
        let newer = self.patches.iter().filter(|(version, _)| *version > base);
        let patches: Vec<Node> = newer.map(|(_, patch)| stanza::bytes("patch", patch.clone())).collect();
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![NodeBuilder::new("patches").children(patches).build()])
    }

    /// The reference to a snapshot of the current version on the media host.
    fn stored_snapshot(&mut self, media: &media::Store) -> Result<Vec<u8>, media::Error> {
        if let Some((version, reference)) = &self.stored
            && *version == self.version
        {
            return Ok(reference.clone());
        }
        let snapshot = SyncdSnapshot {
            version: MessageField::some(SyncdVersion { version: Some(self.version) }),
            records: self.records().collect(),
            mac: Some(self.snapshot_mac.clone()),
            key_id: MessageField::some(KeyId { id: Some(self.key_id.clone()) }),
        };
        let sealed = media.seal(MediaType::AppState, &mut snapshot.encode_to_vec().as_slice())?;
        let reference = ExternalBlobReference {
            media_key: Some(sealed.info.media_key.to_vec()),
            direct_path: Some(sealed.direct_path),
            handle: None,
            file_size_bytes: Some(sealed.info.file_length),
            file_sha256: Some(sealed.info.file_sha256.to_vec()),
            file_enc_sha256: Some(sealed.info.file_enc_sha256.to_vec()),
        }
        .encode_to_vec();
        self.stored = Some((self.version, reference.clone()));
        Ok(reference)
    }

    /// Makes the records of a collection that was kept before there were any.
    pub(crate) fn settle(&mut self) {
        if !self.records.is_empty() {
            return;
        }
        for (_, encoded) in std::mem::take(&mut self.patches) {
            let Ok(patch) = SyncdPatch::decode_from_slice(&encoded) else { continue };
            for mutation in &patch.mutations {
                let _ = self.apply(mutation);
            }
            self.snapshot_mac = patch.snapshot_mac.unwrap_or_default();
            self.key_id = patch.key_id.as_option().and_then(|key| key.id.clone()).unwrap_or_default();
            self.patches.push((patch.version.as_option().and_then(|version| version.version).unwrap_or_default(), encoded));
        }
    }
}

/// The mutations of a patch that was too large for a stanza.
fn fetch(media: &media::Store, reference: &ExternalBlobReference) -> Option<SyncdMutations> {
    let file = media.open_path(reference.direct_path.as_deref()?).ok()?;
    let plain = DownloadUtils::decrypt_stream(file, reference.media_key.as_deref()?, MediaType::AppState).ok()?;
    SyncdMutations::decode_from_slice(&plain).ok()
}

/// Tells an account's companions, apart from whoever wrote it, that a collection has a new version.
pub(crate) fn announce(world: &World, account: &Account, author: Option<u16>, name: &str, version: u64) {
    let id = notification::id("sync");
    let changed = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
    let node = notification::begin(SERVER_JID, "server_sync", &id).children([changed]).build();
    if let Some(notification) = Notification::of(id, 0, &node) {
        notification.tell_others(world, account, author);
    }
}
