//! Identities, Signal sessions, pre-keys and sender keys.

use super::{SessionStore, keys};
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use wacore::store::{
    error::{Result, StoreError},
    traits::SignalStore,
};
use warren_ports::ledger::{Op, RecordKind};

/// How long a flush of sessions waits for the plaintext of what they decrypted. The library buffers it within microseconds;
/// a flush is awaited once in 64 texts and otherwise runs behind them.
const BUFFER_FIRST: Duration = Duration::from_millis(3);

/// More pre-keys at once are read after each login, to compare all of them with the server's: nobody waits for it, and in a
/// storm of logins it takes from the others what they need. What is left of an upload that broke off is read so too; that is
/// rare, and can wait as well. (whatsapp-rust 0.7: `validate_digest_key`, `upload_pre_keys_inner`.)
const FEW_KEYS: usize = 8;

#[async_trait]
impl SignalStore for SessionStore {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put(RecordKind::Identity, keys::text(address), &key, 0).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let records = identities.iter().map(|(address, key)| (keys::text(address), key.as_slice(), 0));
        self.put_all(RecordKind::Identity, records).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let Some(value) = self.get(RecordKind::Identity, keys::text(address)).await? else { return Ok(None) };
        let key = value.try_into().map_err(|_| StoreError::Validation("an identity key has 32 bytes".into()))?;
        Ok(Some(key))
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete(RecordKind::Identity, vec![keys::text(address)]).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.get(RecordKind::Session, keys::text(address)).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put(RecordKind::Session, keys::text(address), session, 0).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let steps = self.steps.made();
        // A flush may carry the ratchet of a message that was decrypted this very moment and whose plaintext is about to be
        // buffered: let that go into the lane first, else a crash between the two loses the message.
        tokio::time::sleep(BUFFER_FIRST).await;
        let records = sessions.iter().map(|(address, session)| (keys::text(address), session.as_ref(), 0));
        self.put_all(RecordKind::Session, records).await?;
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.steps.stored(steps);
        warren_runtime::fault::point("session.flushed");
        Ok(())
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete(RecordKind::Session, vec![keys::text(address)]).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        // Device 0 is `user@server`, the others are `user:device@server`.
        for kind in [RecordKind::Session, RecordKind::Identity] {
            for delimiter in ['@', ':'] {
                let prefix = format!("{user}{delimiter}");
                let found = self.read(|| self.ledger.records_with_prefix(self.instance, kind, prefix.as_bytes())).await?;
                if !found.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        self.put(RecordKind::PreKey, keys::number(id), record, i64::from(uploaded)).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let records = keys.iter().map(|(id, record)| (keys::number(*id), record.as_ref(), i64::from(uploaded)));
        self.put_all(RecordKind::PreKey, records).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        Ok(self.get(RecordKind::PreKey, keys::number(id)).await?.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        if ids.len() > FEW_KEYS {
            self.admission.after_the_line().await;
        }
        let found = self.get_all(RecordKind::PreKey, ids.iter().map(|id| keys::number(*id)).collect()).await?;
        Ok(found
            .into_iter()
            .filter_map(|record| Some((keys::parse_number(&record.key)?, Bytes::from(record.value))))
            .collect())
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let keys = ids.iter().map(|id| keys::number(*id)).collect();
        self.write(Op::Mark { kind: RecordKind::PreKey, keys, mark: 1 }).await
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete(RecordKind::PreKey, vec![keys::number(id)]).await?;
        warren_runtime::fault::point("inbound.prekey_deleted");
        Ok(())
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.read(|| self.ledger.last_record(self.instance, RecordKind::PreKey, false)).await?;
        Ok(last.and_then(|record| keys::parse_number(&record.key)).unwrap_or(0))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put(RecordKind::SignedPreKey, keys::number(id), record, 0).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get(RecordKind::SignedPreKey, keys::number(id)).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let all = self.list(RecordKind::SignedPreKey, b"").await?;
        Ok(all.into_iter().filter_map(|record| Some((keys::parse_number(&record.key)?, record.value))).collect())
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete(RecordKind::SignedPreKey, vec![keys::number(id)]).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put(RecordKind::SenderKey, keys::text(address), record, 0).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let records = sender_keys.iter().map(|(address, record)| (keys::text(address), record.as_ref(), 0));
        self.put_all(RecordKind::SenderKey, records).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.get(RecordKind::SenderKey, keys::text(address)).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete(RecordKind::SenderKey, vec![keys::text(address)]).await
    }
}
