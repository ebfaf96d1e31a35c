//! What WhatsApp said of numbers, and how often it was asked.

use async_trait::async_trait;
use warren_domain::{InstanceId, Result, TenantId, number::KnownNumber};

/// How many numbers may be asked about on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckQuota {
    /// The day: days since 1970 UTC.
    pub day: u32,
    /// Through one instance.
    pub per_instance: u32,
    /// Through all instances of a tenant.
    pub per_tenant: u32,
}

/// Number checks. Answers are a tenant's own: another tenant's are unknown. They are written by owners, see
/// [`super::Op::KeepNumbers`], and removed when none of them counts any more.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// The tenant's kept answers for these numbers (E.164 digits; at most 1,000), whatever their age, in no order.
    async fn known_numbers(&self, tenant: TenantId, phones: &[String]) -> Result<Vec<KnownNumber>>;
    /// Takes `count` of what the instance may still ask about today. `false`: that is more than is left, and nothing was
    /// taken. Of parallel calls no two take the same.
    async fn take_checks(&self, tenant: TenantId, instance: InstanceId, count: u32, quota: CheckQuota) -> Result<bool>;
}
