//! A tenant with a paired instance and its owner.

#![expect(clippy::unwrap_used, reason = "tests")]

use warren_domain::{Epoch, Fence, InstanceId, Shard, ShardCount, TenantId};
use warren_ports::contract;
use warren_ports::ledger::{Instances, Op, Ownership, Record, RecordKind, Tenants, Write};
use warren_sqlite::Sqlite;

/// Who writes, and for whom.
pub(crate) struct World {
    /// Whose instance it is.
    pub(crate) tenant: TenantId,
    /// The instance.
    pub(crate) instance: InstanceId,
    fence: Fence,
}

impl World {
    /// Makes it in the store.
    pub(crate) async fn new(store: &Sqlite) -> Self {
        let tenant = contract::ledger::tenant();
        store.create_tenant(&tenant).await.unwrap();
        let instance = contract::ledger::instance(tenant.id);
        store.create_instance(&instance, 10).await.unwrap();
        let fence = Fence { shard: Shard::of(instance.id, ShardCount::default()), epoch: Epoch(1) };
        store.take(&[(fence.shard, fence.epoch)]).await.unwrap();
        Self { tenant: tenant.id, instance: instance.id, fence }
    }

    /// A write of its owner.
    pub(crate) fn write(&self, op: Op) -> Write {
        Write { fence: self.fence, tenant: self.tenant, instance: self.instance, op }
    }
}

/// Stores one identity.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Op {
    Op::Put(vec![Record { kind: RecordKind::Identity, key: key.to_vec(), value: value.to_vec(), mark: 0 }])
}
