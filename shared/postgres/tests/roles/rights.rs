//! What each service may not, tried from its own login; and what the roles are.

use crate::world::{World, tenant_tables};
use sqlx::{AssertSqlSafe, PgConnection};
use warren_domain::{InstanceId, MediaId, TenantId};
use warren_ports::ledger::{Events, MediaFiles, Messages, Numbers, Ownership};
use warren_postgres::Service;

/// Tries what nobody may but the owner, his name included.
async fn is_no_owner(world: &World, conn: &mut PgConnection) {
    let owner: String = sqlx::query_scalar("SELECT current_user::TEXT").fetch_one(&mut world.owner().await).await.unwrap();
    let become_owner = [format!("SET ROLE {owner}"), format!("SET SESSION AUTHORIZATION {owner}")];
    refused(conn, &become_owner.each_ref().map(String::as_str)).await;
    refused(conn, OWNERS).await;
}

/// Tries statements one after the other: each is refused for want of rights, and nothing else.
async fn refused(conn: &mut PgConnection, statements: &[&str]) {
    for statement in statements {
        let outcome = sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut *conn).await;
        assert!(outcome.is_err(), "{statement}");
        let error = outcome.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{statement}: {error}");
    }
}

/// What nobody may but the owner.
const OWNERS: &[&str] = &[
    "SET row_security = off; SELECT * FROM events",
    "DROP TABLE queue",
    "DROP TABLE events_0",
    "DROP SCHEMA public CASCADE",
    "TRUNCATE events",
    "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE messages ADD COLUMN x INTEGER",
    "DROP POLICY gateway ON instances",
    "ALTER FUNCTION entered_tenant() STABLE",
    "DROP DOMAIN tenant_scope CASCADE",
    "CREATE TABLE mine (x INTEGER)",
    "CREATE ROLE mine",
    "SELECT * FROM events_0",
    "DELETE FROM events_0",
    "INSERT INTO warren_migrations VALUES (99, 'x', '', 0)",
    "DELETE FROM meta",
    "SELECT setval('event_positions', 1)",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "COPY tenants TO PROGRAM 'true'",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_no_owner_and_raises_no_epoch() {
    let world = World::new().await;
    let mut gateway = world.connect(Service::Gateway).await;
    is_no_owner(&world, &mut gateway).await;
    let others = [
        "INSERT INTO shard_owners VALUES (1, 9)",
        "UPDATE shard_owners SET epoch = 9",
        "SELECT 1 FROM shard_owners FOR UPDATE",
        "SELECT * FROM session_records",
        "INSERT INTO queue SELECT * FROM queue",
        "INSERT INTO messages SELECT * FROM messages",
        "UPDATE messages SET content = ''",
        "UPDATE instances SET state = 'online'",
        "UPDATE events SET data = ''",
        "DELETE FROM events",
        "DELETE FROM api_keys",
        "UPDATE api_keys SET hash = ''",
        "SELECT * FROM lane_commits",
        "SELECT add_event_partition(0, 1)",
        "SELECT drop_event_partition(0)",
        "INSERT INTO meta VALUES ('store.network', '')",
    ];
    refused(&mut gateway, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reads_no_key_and_no_secret_of_a_webhook() {
    let world = World::new().await;
    let mut worker = world.connect(Service::Worker).await;
    is_no_owner(&world, &mut worker).await;
    let others = [
        "SELECT hash FROM api_keys",
        "SELECT * FROM key_by_prefix('')",
        "SELECT touch_key(gen_random_uuid(), 0, 0)",
        "SELECT * FROM tenants",
        "SELECT * FROM tenants_after(gen_random_uuid(), 1)",
        "SELECT secret FROM webhooks",
        "SELECT * FROM webhook_dead_letters",
        "SELECT lock_counters('{}')",
        "INSERT INTO event_partitions VALUES (0, 1)",
        "DELETE FROM event_partitions",
        "DELETE FROM shard_owners",
    ];
    refused(&mut worker, &others).await;
    // What is fixed for ever is not his to change.
    let changed =
        sqlx::query("UPDATE meta SET value = '' WHERE name <> 'store.events_removed_to'").execute(&mut worker).await;
    assert_eq!(changed.unwrap().rows_affected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_sees_webhooks_and_the_log() {
    let world = World::new().await;
    let mut dispatcher = world.connect(Service::Dispatcher).await;
    is_no_owner(&world, &mut dispatcher).await;
    let others = [
        "SELECT * FROM session_records",
        "SELECT * FROM messages",
        "SELECT * FROM instances",
        "SELECT * FROM api_keys",
        "SELECT * FROM tenants",
        "SELECT * FROM shard_owners",
        "SELECT * FROM media",
        "SELECT * FROM idempotency",
        "UPDATE webhooks SET url = ''",
        "UPDATE webhooks SET secret = ''",
        "INSERT INTO webhooks SELECT * FROM webhooks",
        "INSERT INTO events SELECT * FROM events",
        "SELECT nextval('event_positions')",
        "INSERT INTO meta VALUES ('mine', '')",
    ];
    refused(&mut dispatcher, &others).await;
    world.open(Service::Gateway).await.put_meta_if_absent("media_link_key", b"secret").await.unwrap();
    let shown = "SELECT name FROM meta WHERE name NOT LIKE 'store.%'";
    let shown: Vec<String> = sqlx::query_scalar(shown).fetch_all(&mut dispatcher).await.unwrap();
    assert_eq!(shown, Vec::<String>::new());
}

/// What more than one service reads; the contract takes the gateway for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_services_share_is_open_to_each() {
    let world = World::new().await;
    let (tenant, file) = (TenantId::generate(), MediaId::generate());
    let worker = world.open(Service::Worker).await;
    assert_eq!(worker.media(tenant, file).await.unwrap(), None);
    assert_eq!(worker.media_bytes(tenant).await.unwrap(), 0);
    worker.media_deleted(&[(tenant, file)]).await.unwrap();
    assert_eq!(worker.known_numbers(tenant, &["15550100".to_owned()]).await.unwrap(), Vec::new());
    assert_eq!(worker.messages_by_whatsapp_id(tenant, InstanceId::generate(), "3EB0").await.unwrap(), Vec::new());
    worker.put_meta_if_absent("seal", b"x").await.unwrap();
    let dispatcher = world.open(Service::Dispatcher).await;
    assert_eq!(dispatcher.log_bounds().await.unwrap(), worker.log_bounds().await.unwrap());
    let gateway = world.open(Service::Gateway).await;
    gateway.highest_epoch().await.unwrap();
}

/// A table that is added needs to be put under row level security, and to be given to somebody.
#[tokio::test(flavor = "multi_thread")]
async fn no_table_is_forgotten() {
    let world = World::new().await;
    let mut owner = world.owner().await;
    for (table, _) in tenant_tables(&mut owner).await {
        let bound: bool = sqlx::query_scalar("SELECT relrowsecurity FROM pg_class WHERE oid = $1::regclass")
            .bind(&table)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert!(bound, "{table} has rows of tenants and no row level security");
    }
    let unused: Vec<String> = sqlx::query_scalar(
        "SELECT relname::TEXT FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
             AND NOT relispartition AND NOT (SELECT bool_or(has_table_privilege(role, oid, 'SELECT')) FROM unnest($1) AS role)",
    )
    .bind(Service::ALL.map(|service| world.role(service)).to_vec())
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(unused, Vec::<String>::new(), "no service reads these");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_groups_without_power() {
    let world = World::new().await;
    let mut owner = world.owner().await;
    for role in Service::ALL.map(|service| world.role(service)) {
        let (powers, owned): (bool, i64) = sqlx::query_as(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication OR rolbypassrls,
                    (SELECT count(*) FROM pg_class WHERE relowner = r.oid) FROM pg_roles r WHERE rolname = $1",
        )
        .bind(&role)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert!(!powers && owned == 0, "{role}");
    }
}
