//! Whom an instance knows: the people with whom it exchanged messages.

use async_trait::async_trait;
use warren_domain::{InstanceId, Result, TenantId};

/// A person with whom an instance exchanged messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The address by number, or the hidden one where no number is known.
    pub address: String,
    /// The name in the latest message to the instance alone, if there was one.
    pub name: Option<String>,
}

/// Contacts. An owner writes them with the messages that make them ([`super::Op::Receive`], and what is `sent`); they stay as long
/// as their instance.
#[async_trait]
pub trait Contacts: Send + Sync {
    /// Up to `limit` of the people with whom the tenant's instance exchanged messages, by address, after `after`; each once, by
    /// number where one is known. The account itself is among them if it wrote from another device. No groups. Empty for an
    /// unknown instance.
    async fn contacts(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Contact>>;
}
