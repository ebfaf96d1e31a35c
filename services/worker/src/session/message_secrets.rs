//! Message secrets: what later edits, reactions and poll votes of a message are encrypted with.

use super::{SessionStore, keys};
use async_trait::async_trait;
use wacore::store::{
    error::Result,
    traits::{MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts},
};
use warren_ports::ledger::{Op, RecordKind};

const SECRET: usize = 32;

fn record_key(chat: &str, sender: &str, id: &str) -> Vec<u8> {
    keys::joined(&[chat.as_bytes(), sender.as_bytes(), id.as_bytes()])
}

/// The secret, then the message's time in seconds.
fn record_value(secret: &[u8; SECRET], message_ts: i64) -> Vec<u8> {
    let mut value = secret.to_vec();
    value.extend_from_slice(&message_ts.to_be_bytes());
    value
}

fn parse_value(value: &[u8]) -> Option<([u8; SECRET], i64)> {
    let (secret, time) = value.split_first_chunk::<SECRET>()?;
    Some((*secret, i64::from_be_bytes(time.try_into().ok()?)))
}

#[async_trait]
impl MsgSecretStore for SessionStore {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        let foreign: Vec<_> = entries.into_iter().filter(|entry| !self.is_own_message(&entry.msg_id)).collect();
        if foreign.is_empty() {
            return Ok(count);
        }
        let stored_keys = foreign.iter().map(|entry| record_key(&entry.chat, &entry.sender, &entry.msg_id)).collect();
        let stored = self.get_all(RecordKind::MessageSecret, stored_keys).await?;
        let values: Vec<_> = foreign
            .into_iter()
            .map(|entry| {
                let key = record_key(&entry.chat, &entry.sender, &entry.msg_id);
                let old = stored.iter().find(|record| record.key == key);
                let (mut expires_at, mut message_ts) = (entry.expires_at, entry.message_ts);
                if let Some(old) = old {
                    expires_at = merge_msg_secret_expiry(old.mark, expires_at);
                    let old_time = parse_value(&old.value).map_or(0, |(_, time)| time);
                    message_ts = merge_msg_secret_message_ts(old_time, message_ts);
                }
                (key, record_value(&entry.secret, message_ts), expires_at)
            })
            .collect();
        let records = values.iter().map(|(key, value, mark)| (key.clone(), value.as_slice(), *mark));
        self.put_all(RecordKind::MessageSecret, records).await?;
        Ok(count)
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        if let Some(value) = self.get(RecordKind::MessageSecret, record_key(chat, sender, msg_id)).await? {
            return Ok(parse_value(&value).map(|(secret, time)| (secret.to_vec(), time)));
        }
        // A message of our own: its row has it.
        let row = self.read(|| self.ledger.outbound_by_whatsapp_id(self.instance, msg_id)).await?;
        Ok(row.map(|row| (row.secret.to_vec(), row.message.times.created.as_seconds())))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        // Rows at the cutoff go too.
        self.write(Op::DeleteMarkedBefore { kind: RecordKind::MessageSecret, before: cutoff_timestamp.saturating_add(1) })
            .await?;
        Ok(0)
    }
}
