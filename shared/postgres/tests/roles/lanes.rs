//! What a worker does beyond plain statements, under its role: lanes that outlive their connections, and the log's partitions.

use crate::world::World;
use sqlx::AssertSqlSafe;
use warren_domain::{Epoch, Fence, InstanceId, Shard, ShardCount, TenantId};
use warren_ports::contract;
use warren_ports::ledger::{Committer, Instances, Op, Outcome, Ownership, Record, RecordKind, Sessions, Tenants, Write};
use warren_postgres::Service;

/// Makes an instance, as the gateway does.
async fn instance(world: &World) -> (TenantId, InstanceId) {
    let gateway = world.open(Service::Gateway).await;
    let tenant = contract::ledger::tenant();
    gateway.create_tenant(&tenant).await.unwrap();
    let instance = contract::ledger::instance(tenant.id);
    gateway.create_instance(&instance, 10).await.unwrap();
    (tenant.id, instance.id)
}

/// A lane ends the server's process of its connection that broke, which its login may and its role may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_outlives_its_connection() {
    let world = World::new().await;
    let (tenant, instance) = instance(&world).await;
    let worker = world.open(Service::Worker).await;
    let fence = Fence { shard: Shard::of(instance, ShardCount::default()), epoch: Epoch(1) };
    worker.take(&[(fence.shard, fence.epoch)]).await.unwrap();
    let ended = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{}'",
        world.login(Service::Worker)
    );
    for value in [b"1", b"2", b"3"] {
        let record = Record { kind: RecordKind::Identity, key: b"k".to_vec(), value: value.to_vec(), mark: 0 };
        let write = Write { fence, tenant, instance, op: Op::Put(vec![record]) };
        let outcomes = worker.commit(vec![write]).await;
        assert!(matches!(outcomes.as_slice(), [Outcome::Done]), "{outcomes:?}");
        let stored = worker.records(instance, RecordKind::Identity, &[b"k".to_vec()]).await.unwrap();
        assert_eq!(stored.first().unwrap().value, value);
        assert_ne!(world.database.execute(&[&ended]).await.unwrap(), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_adds_and_drops_partitions() {
    let world = World::new().await;
    let mut worker = world.connect(Service::Worker).await;
    sqlx::query("SELECT add_event_partition(33554432, 50331648)").execute(&mut worker).await.unwrap();
    // One that is in the way is not what is dropped from.
    let in_the_way = "CREATE TEMPORARY TABLE event_partitions AS SELECT 16777216::BIGINT AS lower";
    sqlx::query(in_the_way).execute(&mut worker).await.unwrap();
    for (lower, dropped) in [(16_777_216_i64, false), (0, true), (0, false), (16_777_216, true)] {
        let found: bool =
            sqlx::query_scalar("SELECT drop_event_partition($1)").bind(lower).fetch_one(&mut worker).await.unwrap();
        assert_eq!(found, dropped, "{lower}");
    }
    let left = "SELECT string_agg(inhrelid::regclass::TEXT, ',') FROM pg_inherits WHERE inhparent = 'events'::regclass";
    assert_eq!(world.database.execute(&[left]).await.unwrap(), "events_33554432");
}

/// Functions that act as the owner name the owner's tables, whatever a session puts in their way.
#[tokio::test(flavor = "multi_thread")]
async fn no_table_of_a_session_stands_in_for_the_owners() {
    let world = World::new().await;
    let (tenant, _) = instance(&world).await;
    let mut gateway = world.connect(Service::Gateway).await;
    for table in ["tenants", "api_keys", "media", "instances", "instance_counters", "idempotency"] {
        let make = format!("CREATE TEMPORARY TABLE {table} (LIKE public.{table})");
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut gateway).await.unwrap();
    }
    let found = "SELECT id FROM tenants_after('00000000-0000-0000-0000-000000000000', 10)";
    let found: Vec<uuid::Uuid> = sqlx::query_scalar(found).fetch_all(&mut gateway).await.unwrap();
    assert_eq!(found, [crate::world::uuid(tenant)]);
}
