//! Privacy tokens of chats. Every send asks for its chat's token, so the last ones asked for are kept in memory, absent ones
//! too. This object is the only writer of the instance's records, so what it remembers is what is stored.

use super::{SessionStore, decode, encode, keys};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use wacore::store::{error::Result, traits::TcTokenEntry};
use warren_ports::ledger::RecordKind;

/// Chats whose token is remembered; beyond, all are forgotten and read again.
const REMEMBERED: usize = 64;

/// What was last read or written.
#[derive(Default)]
pub(super) struct Tokens {
    known: Mutex<Known>,
    /// Read-modify-write of tokens.
    pub(super) writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<String, Option<TcTokenEntry>>,
    /// Counts the writes: a read that a write overtook is not remembered.
    writes: u64,
}

impl Tokens {
    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn remember(&mut self, jid: &str, entry: Option<TcTokenEntry>) {
        if self.entries.len() >= REMEMBERED {
            self.entries.clear();
        }
        self.entries.insert(jid.to_owned(), entry);
    }

    /// Before a write: from here on until it is known to be stored, the store is asked.
    fn doubt(&mut self) {
        self.writes += 1;
        self.entries.clear();
    }
}

impl SessionStore {
    pub(super) async fn token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let (known, writes) = self.tokens.with(|known| (known.entries.get(jid).cloned(), known.writes));
        if let Some(entry) = known {
            return Ok(entry);
        }
        let stored = self.get(RecordKind::TcToken, keys::text(jid)).await?;
        let entry: Option<TcTokenEntry> = stored.as_deref().map(decode).transpose()?;
        self.tokens.with(|known| {
            if known.writes == writes {
                known.remember(jid, entry.clone());
            }
        });
        Ok(entry)
    }

    pub(super) async fn put_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.tokens.with(Known::doubt);
        self.put(RecordKind::TcToken, keys::text(jid), &encode(entry)?, entry.token_timestamp).await?;
        self.tokens.with(|known| {
            // A read that began before the commit may end after this.
            known.writes += 1;
            known.remember(jid, Some(entry.clone()));
        });
        Ok(())
    }

    pub(super) async fn delete_tokens(&self, keys: Vec<Vec<u8>>) -> Result<()> {
        self.tokens.with(Known::doubt);
        self.delete(RecordKind::TcToken, keys).await?;
        self.tokens.with(Known::doubt);
        Ok(())
    }
}
