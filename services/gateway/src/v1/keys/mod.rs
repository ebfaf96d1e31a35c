//! A tenant's keys. Made and revoked by the operator; a key itself is shown once, when it is made.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{
    KeyId, Timestamp,
    key::{ApiKey, Scope},
};

/// A key as it is shown: never with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e55e",
    "name": "shop",
    "prefix": "wrn_0aB1cD2e",
    "scopes": ["read", "write"],
    "expires_at": null,
    "created_at": "2026-11-22T09:30:00.000Z",
    "revoked_at": null,
    "last_used_at": null
})))]
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
