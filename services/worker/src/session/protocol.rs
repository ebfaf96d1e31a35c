//! Device lists, LID mappings, tokens, groups, sent messages, and the buffer of decrypted messages.

use super::{SessionStore, decode, encode, keys};
use crate::outbound::content;
use async_trait::async_trait;
use std::sync::PoisonError;
use wacore::store::{
    error::Result,
    traits::{DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry},
};
use wacore_binary::Jid;
use warren_ports::ledger::{Op, RecordKind};

/// How many decrypted messages one client may have waiting for their commit: the library holds back far earlier.
const PENDING_INBOUND_LIMIT: usize = 10_000;

fn pending_key(chat: &str, sender: &str, id: &str) -> Vec<u8> {
    keys::joined(&[chat.as_bytes(), sender.as_bytes(), id.as_bytes()])
}

/// Whether this is no message, but what the library writes, reads back and deletes at its start to see that there is such a buffer.
/// It stays in memory: a login is spared two commits. (whatsapp-rust 0.7: `probe_durability_backend`.)
fn is_probe(id: &str) -> bool {
    id.starts_with("__wa_durability_probe")
}

/// The address without its device, as messages are kept.
fn without_device(address: &str) -> String {
    address.parse::<Jid>().map_or_else(|_| address.to_owned(), |jid| jid.to_non_ad().to_string())
}

#[async_trait]
impl ProtocolStore for SessionStore {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let rows = self.list(RecordKind::SenderKeyDevice, &keys::prefix(group_jid)).await?;
        Ok(rows.into_iter().map(|row| (keys::rest(&row.key), row.value.first() == Some(&1))).collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let records = entries.iter().map(|(device, has)| {
            let value: &[u8] = if *has { &[1] } else { &[0] };
            (keys::joined(&[group_jid.as_bytes(), device.as_bytes()]), value, 0)
        });
        self.put_all(RecordKind::SenderKeyDevice, records).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        self.write(Op::DeletePrefix { kind: RecordKind::SenderKeyDevice, prefix: keys::prefix(group_jid) }).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let rows = self.list(RecordKind::SenderKeyDevice, b"").await?;
        let gone =
            rows.into_iter().map(|row| row.key).filter(|key| device_jids.contains(&keys::rest(key).as_str())).collect();
        self.delete(RecordKind::SenderKeyDevice, gone).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.write(Op::DeletePrefix { kind: RecordKind::SenderKeyDevice, prefix: Vec::new() }).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.get(RecordKind::LidMapping, keys::text(lid)).await?.as_deref().map(decode).transpose()
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let Some(lid) = self.get(RecordKind::PhoneMapping, keys::text(phone)).await? else { return Ok(None) };
        self.get(RecordKind::LidMapping, lid).await?.as_deref().map(decode).transpose()
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let mut records = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            let lid = keys::text(&entry.lid);
            records.push(self.sealed(RecordKind::LidMapping, lid.clone(), &encode(entry)?, 0)?);
            records.push(self.sealed(RecordKind::PhoneMapping, keys::text(&entry.phone_number), &lid, 0)?);
        }
        if records.is_empty() {
            return Ok(());
        }
        self.write(Op::Put(records)).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let rows = self.list(RecordKind::LidMapping, b"").await?;
        rows.iter().map(|row| decode(&row.value)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        let key = keys::joined(&[address.as_bytes(), message_id.as_bytes()]);
        self.put(RecordKind::BaseKey, key, base_key, self.now_seconds()).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let key = keys::joined(&[address.as_bytes(), message_id.as_bytes()]);
        Ok(self.get(RecordKind::BaseKey, key).await?.as_deref() == Some(current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        let key = keys::joined(&[address.as_bytes(), message_id.as_bytes()]);
        self.delete(RecordKind::BaseKey, vec![key]).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let sealed = records
            .iter()
            .map(|record| self.sealed(RecordKind::Devices, keys::text(&record.user), &encode(record)?, 0))
            .collect::<Result<Vec<_>>>()?;
        if sealed.is_empty() {
            return Ok(());
        }
        self.write(Op::Put(sealed)).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.get(RecordKind::Devices, keys::text(user)).await?.as_deref().map(decode).transpose()
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete(RecordKind::Devices, vec![keys::text(user)]).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.get(RecordKind::Group, keys::text(group_jid)).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.put(RecordKind::Group, keys::text(group_jid), blob, 0).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete(RecordKind::Group, vec![keys::text(group_jid)]).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.token(jid).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let _guard = self.tokens.writing.lock().await;
        self.put_token(jid, entry).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        let _guard = self.tokens.writing.lock().await;
        self.delete_tokens(vec![keys::text(jid)]).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let rows = self.list(RecordKind::TcToken, b"").await?;
        Ok(rows.into_iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()).collect())
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let _guard = self.tokens.writing.lock().await;
        let mut gone = Vec::new();
        for row in self.list(RecordKind::TcToken, b"").await? {
            let entry: TcTokenEntry = decode(&row.value)?;
            let token_lives = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
            let sender_lives = entry.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
            if !token_lives && !sender_lives {
                gone.push(row.key);
            }
        }
        let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        self.delete_tokens(gone).await?;
        Ok(count)
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        let _guard = self.tokens.writing.lock().await;
        let entry = match self.token(jid).await? {
            Some(old) => {
                let newest = old.sender_timestamp.map_or(sender_timestamp, |at| at.max(sender_timestamp));
                TcTokenEntry { sender_timestamp: Some(newest), ..old }
            }
            None => TcTokenEntry {
                token: Vec::new(),
                token_timestamp: sender_timestamp,
                sender_timestamp: Some(sender_timestamp),
            },
        };
        self.put_token(jid, &entry).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let _guard = self.tokens.writing.lock().await;
        let old = self.token(jid).await?;
        let stored_is_newer = old.as_ref().is_some_and(|old| !old.token.is_empty() && token_timestamp < old.token_timestamp);
        if stored_is_newer {
            return Ok(());
        }
        let sender_timestamp = old.and_then(|old| old.sender_timestamp);
        self.put_token(jid, &TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp }).await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        if self.is_own_message(message_id) {
            // The row of the message has everything that a retry needs.
            return Ok(());
        }
        let key = keys::joined(&[chat_jid.as_bytes(), message_id.as_bytes()]);
        self.put(RecordKind::SentMessage, key, payload, self.now_seconds()).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        let row = self.read(|| self.ledger.outbound_by_whatsapp_id(self.instance, message_id)).await?;
        if let Some(row) = row {
            // Not consumed: the library limits its own answers to retries, and the row lives by retention.
            return Ok(content::encode(&row, self.upload_of(&row)));
        }
        let key = keys::joined(&[chat_jid.as_bytes(), message_id.as_bytes()]);
        let payload = self.get(RecordKind::SentMessage, key.clone()).await?;
        if payload.is_some() {
            self.delete(RecordKind::SentMessage, vec![key]).await?;
        }
        Ok(payload)
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.write(Op::DeleteMarkedBefore { kind: RecordKind::SentMessage, before: cutoff_timestamp }).await?;
        Ok(0)
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let key = pending_key(chat, sender, id);
        let own = self.pending_inbound.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if own.is_some() {
            return Ok(own);
        }
        if let Some(message) = self.get(RecordKind::PendingInbound, key).await? {
            return Ok(Some(message));
        }
        let (chat, sender) = (&without_device(chat), &without_device(sender));
        let committed = self.read(|| self.ledger.has_inbound(self.instance, chat, sender, id)).await?;
        if !committed {
            self.report_lost_inbound(chat, sender, id).await?;
        }
        Ok(None)
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.write(Op::DeleteMarkedBefore { kind: RecordKind::PendingInbound, before: cutoff_timestamp }).await?;
        Ok(0)
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let only_probe = rows.iter().all(|row| is_probe(row.id));
        if warren_runtime::fault::mutation("inbound_not_buffered") && !only_probe {
            return Ok(());
        }
        let keyed: Vec<_> = rows.iter().map(|row| (pending_key(row.chat, row.sender, row.id), row.message)).collect();
        {
            let mut pending = self.pending_inbound.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, message) in &keyed {
                if pending.len() < PENDING_INBOUND_LIMIT {
                    pending.insert(key.clone(), message.to_vec());
                }
            }
        }
        if only_probe {
            return Ok(());
        }
        self.steps.make();
        let now = self.now_seconds();
        let records = keyed.iter().map(|(key, message)| (key.clone(), *message, now));
        self.put_all(RecordKind::PendingInbound, records).await?;
        warren_runtime::fault::point("inbound.pending_stored");
        Ok(())
    }

    async fn delete_pending_inbound_batch(&self, pending: &[PendingInboundKey<'_>]) -> Result<()> {
        let only_probe = pending.iter().all(|key| is_probe(key.id));
        if !only_probe {
            warren_runtime::fault::point("inbound.committed");
        }
        let gone: Vec<_> = pending.iter().map(|key| pending_key(key.chat, key.sender, key.id)).collect();
        {
            let mut pending = self.pending_inbound.lock().unwrap_or_else(PoisonError::into_inner);
            for key in &gone {
                pending.remove(key);
            }
        }
        if only_probe { Ok(()) } else { self.delete(RecordKind::PendingInbound, gone).await }
    }
}
