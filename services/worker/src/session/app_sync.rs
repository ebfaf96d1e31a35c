//! App state: keys, versions and mutation MACs.

use super::{SessionStore, decode, encode, keys};
use async_trait::async_trait;
use std::collections::HashMap;
use wacore::{
    appstate::{hash::HashState, processor::AppStateMutationMAC},
    store::{
        error::Result,
        traits::{AppStateSyncKey, AppSyncStore},
    },
};
use warren_ports::ledger::{Op, RecordKind};

fn mac_key(name: &str, index_mac: &[u8]) -> Vec<u8> {
    keys::joined(&[name.as_bytes(), index_mac])
}

#[async_trait]
impl AppSyncStore for SessionStore {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        let value = self.get(RecordKind::SyncKey, key_id.to_vec()).await?;
        value.as_deref().map(decode).transpose()
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let mark = key.timestamp;
        self.put(RecordKind::SyncKey, key_id.to_vec(), &encode(&key)?, mark).await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let value = self.get(RecordKind::AppVersion, keys::text(name)).await?;
        value.as_deref().map_or_else(|| Ok(HashState::default()), decode)
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.put(RecordKind::AppVersion, keys::text(name), &encode(&state)?, 0).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let records = mutations.iter().map(|mac| (mac_key(name, &mac.index_mac), mac.value_mac.as_slice(), 0));
        self.put_all(RecordKind::MutationMac, records).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(RecordKind::MutationMac, mac_key(name, index_mac)).await
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let wanted: HashMap<Vec<u8>, [u8; 32]> = index_macs.iter().map(|mac| (mac_key(name, mac), *mac)).collect();
        let found = self.get_all(RecordKind::MutationMac, wanted.keys().cloned().collect()).await?;
        Ok(found.into_iter().filter_map(|record| Some((*wanted.get(&record.key)?, record.value))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        self.delete(RecordKind::MutationMac, index_macs.iter().map(|mac| mac_key(name, mac)).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.write(Op::DeletePrefix { kind: RecordKind::MutationMac, prefix: keys::prefix(name) }).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let last = self.read(|| self.ledger.last_record(self.instance, RecordKind::SyncKey, true)).await?;
        Ok(last.map(|record| record.key))
    }
}
