//! Tenants: whose everything is.

use crate::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// A customer of this deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e51a",
    "name": "Acme",
    "limits": {"instances": 100},
    "created_at": "2026-11-20T08:00:00.000Z"
})))]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// A name for people, at most 200 characters.
    pub name: String,
    /// What it may use.
    pub limits: Limits,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Limits of one tenant. `None` means the deployment's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many instances it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// How many requests a second it may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
}
