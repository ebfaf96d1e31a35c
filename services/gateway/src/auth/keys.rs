//! Keys, remembered for at most 30 seconds: a revoked one is refused on every gateway within that time.

use crate::problem::{Problem, Result};
use moka::future::Cache;
use std::{sync::Arc, time::Duration};
use warren_domain::{Error, key::ApiKey};
use warren_ports::ledger::EdgeLedger;

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How many are remembered, those that do not exist included.
const KEYS: u64 = 10_000;

/// Finds keys by their 8 characters.
pub(super) struct Keys {
    ledger: Arc<dyn EdgeLedger>,
    remembered: Cache<String, Option<Arc<ApiKey>>>,
}

impl Keys {
    pub(super) fn new(ledger: Arc<dyn EdgeLedger>) -> Self {
        Self { ledger, remembered: Cache::builder().max_capacity(KEYS).time_to_live(REMEMBERED).build() }
    }

    /// The key with these characters, live or not. With `may_ask_the_ledger` unset only what is remembered is found.
    /// Parallel calls for the same characters ask the ledger once.
    pub(super) async fn find(&self, prefix: &str, may_ask_the_ledger: bool) -> Result<Option<Arc<ApiKey>>> {
        if let Some(key) = self.remembered.get(prefix).await {
            return Ok(key);
        }
        if !may_ask_the_ledger {
            return Ok(None);
        }
        self.remembered
            .try_get_with(prefix.to_owned(), async { Ok(self.ledger.key_by_prefix(prefix).await?.map(Arc::new)) })
            .await
            .map_err(|error: Arc<Error>| {
                Problem::from(Error::new(error.kind, error.code, error.detail.clone()).with_source(error))
            })
    }

    /// Forgets keys.
    pub(super) async fn forget(&self, which: impl Fn(&ApiKey) -> bool) {
        let prefixes: Vec<Arc<String>> =
            self.remembered.iter().filter(|(_, key)| key.as_deref().is_some_and(&which)).map(|(prefix, _)| prefix).collect();
        for prefix in prefixes {
            self.remembered.invalidate(prefix.as_str()).await;
        }
    }
}
