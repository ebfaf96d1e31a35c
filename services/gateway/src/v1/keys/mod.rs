//! A tenant's keys. Made and revoked by the operator; a key itself is shown once, when it is made.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

use serde::Serialize;
use warren_domain::{
    KeyId, Timestamp,
    key::{ApiKey, Scope},
};

/// A key as it is shown: never with its secret.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    id: KeyId,
    name: String,
    /// How the key begins, to recognise it by.
    prefix: String,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl From<ApiKey> for View {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: format!("wrn_{}", key.prefix),
            scopes: key.scopes,
            expires_at: key.expires_at,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}
