//! The gateway's role sees a tenant's rows at a time.

use crate::world::{World, tenant_tables, uuid};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::str::FromStr;
use warren_domain::TenantId;
use warren_postgres::Service;

/// SQLSTATE: not allowed, also by row level security.
const DENIED: &str = "42501";

async fn count(conn: &mut PgConnection, table: &str, rows: &str) -> i64 {
    let text = format!("SELECT count(*) FROM {table} WHERE {rows}");
    sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(conn).await.unwrap()
}

async fn enter(conn: &mut PgConnection, tenant: TenantId) {
    let entered = sqlx::query("SELECT set_config('warren.tenant', $1, false)").bind(uuid(tenant).to_string());
    entered.execute(conn).await.unwrap();
}

/// Two tenants with a row each in every table; what the gateway's role may read of those, with the tenant's column.
async fn two_tenants() -> (World, [TenantId; 2], Vec<(String, String)>) {
    let world = World::new().await;
    let tenants = [TenantId::generate(), TenantId::generate()];
    world.fill(tenants[0], 1).await;
    world.fill(tenants[1], 2).await;
    let mut owner = world.owner().await;
    let mut readable = Vec::new();
    for (table, column) in tenant_tables(&mut owner).await {
        for tenant in tenants {
            assert_eq!(count(&mut owner, &table, &format!("{column} = '{}'", uuid(tenant))).await, 1, "{table}");
        }
        let may: bool = sqlx::query_scalar("SELECT has_table_privilege($1, $2, 'SELECT')")
            .bind(world.role(Service::Gateway))
            .bind(&table)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        if may {
            readable.push((table, column));
        }
    }
    assert!(readable.len() > 12, "{readable:?}");
    (world, tenants, readable)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_there_is_nothing() {
    let (world, _, readable) = two_tenants().await;
    let mut gateway = world.connect(Service::Gateway).await;
    for (table, _) in &readable {
        assert_eq!(count(&mut gateway, table, "true").await, 0, "{table}");
    }
    // A tenant that is none shows nothing either.
    enter(&mut gateway, TenantId::generate()).await;
    for (table, _) in &readable {
        assert_eq!(count(&mut gateway, table, "true").await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_and_changes_its_own_rows_only() {
    let (world, [own, other], readable) = two_tenants().await;
    let mut gateway = world.connect(Service::Gateway).await;
    enter(&mut gateway, own).await;
    for (table, column) in &readable {
        assert_eq!(count(&mut gateway, table, "true").await, 1, "{table}");
        assert_eq!(count(&mut gateway, table, &format!("{column} = '{}'", uuid(other))).await, 0, "{table}");
    }
    for change in [
        "UPDATE instances SET name = 'x'",
        "UPDATE webhooks SET secret = 'x'",
        "UPDATE media SET bytes_gone = true",
        "DELETE FROM idempotency",
        "DELETE FROM queue",
    ] {
        let mut transaction = gateway.begin().await.unwrap();
        let done = sqlx::query(change).execute(&mut *transaction).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{change}");
        transaction.rollback().await.unwrap();
    }
    // Nor is a row given to somebody else, or made for him.
    for change in [
        format!("UPDATE media SET tenant_id = '{}'", uuid(other)),
        format!(
            "INSERT INTO idempotency (tenant_id, key, purpose, fingerprint, resource, stored_at)
             VALUES ('{}', 'k', 0, '', gen_random_uuid(), 0)",
            uuid(other)
        ),
    ] {
        let refused = sqlx::query(AssertSqlSafe(change.clone())).execute(&mut gateway).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), DENIED, "{change}: {refused}");
    }
}

/// The parameter of a statement enters its tenant for this statement, and for a transaction until its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_enters_its_tenant() {
    let (world, [own, other], _) = two_tenants().await;
    let mut gateway = world.connect(Service::Gateway).await;
    let prepare = "PREPARE counted (tenant_scope) AS SELECT count(*) FROM instances WHERE $1 IS NOT NULL";
    sqlx::raw_sql(prepare).execute(&mut gateway).await.unwrap();
    for tenant in [own, other] {
        let counted = format!("EXECUTE counted ('{}')", uuid(tenant));
        let seen: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(counted)).persistent(false).fetch_one(&mut gateway).await.unwrap();
        assert_eq!(seen, Some(1));
        assert_eq!(count(&mut gateway, "instances", "true").await, 0, "the tenant was not left");
    }
    let mut transaction = gateway.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("EXECUTE counted ('{}')", uuid(own)))).execute(&mut *transaction).await.unwrap();
    assert_eq!(count(&mut transaction, "messages", "true").await, 1);
    transaction.commit().await.unwrap();
    assert_eq!(count(&mut gateway, "messages", "true").await, 0, "the tenant was not left");
}

/// The login of everybody's `DATABASE_URL` is the owner's; under its role it is bound like the gateway's own.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_acts_as_the_gateway_is_bound() {
    let (world, _, readable) = two_tenants().await;
    let owner = PgConnectOptions::from_str(world.database.url()).unwrap();
    let mut owner = owner.options([("role", world.role(Service::Gateway))]).connect().await.unwrap();
    for (table, _) in &readable {
        assert_eq!(count(&mut owner, table, "true").await, 0, "{table}");
    }
}
