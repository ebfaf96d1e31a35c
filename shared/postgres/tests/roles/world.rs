//! A database with roles, a login for each service, and rows of two tenants in every table.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;
use warren_domain::{Network, TenantId};
use warren_postgres::{Options, Postgres, Service};
use warren_testkit::services::{Database, Postgres as Server};

const PASSWORD: &str = "roles";

/// What migrating is done with.
pub(crate) fn migrating(url: &str) -> Options {
    Options { migrate: true, roles: true, ..Options::new(url, Network::Whatsapp) }
}

/// The URL of another login with the usual password.
pub(crate) fn url_of(database: &Database, login: &str) -> String {
    let (_, place) = database.url().rsplit_once('@').unwrap();
    format!("postgres://{login}:{PASSWORD}@{place}")
}

/// Makes a login with the usual password.
pub(crate) async fn make_login(database: &Database, login: &str, more: &str) {
    let make = format!("CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' {more}");
    database.execute(&[&make]).await.unwrap();
}

/// A database whose services have roles.
pub(crate) struct World {
    pub(crate) database: Database,
}

impl World {
    /// Makes one, with a login for each service that is a member of its role alone.
    pub(crate) async fn new() -> Self {
        let database = Server::database().await.unwrap();
        Postgres::open(migrating(database.url())).await.unwrap().close().await;
        let world = Self { database };
        for service in Service::ALL {
            make_login(&world.database, &world.login(service), &format!("IN ROLE {}", world.role(service))).await;
        }
        world
    }

    /// The name of a service's role.
    pub(crate) fn role(&self, service: Service) -> String {
        service.role(self.database.name())
    }

    /// The name of a service's login.
    pub(crate) fn login(&self, service: Service) -> String {
        format!("{}_login", self.role(service))
    }

    /// The store as a service has it.
    pub(crate) async fn open(&self, service: Service) -> Postgres {
        let url = url_of(&self.database, &self.login(service));
        Postgres::open(Options { service: Some(service), ..Options::new(url, Network::Whatsapp) }).await.unwrap()
    }

    /// A connection of a service's login.
    pub(crate) async fn connect(&self, service: Service) -> PgConnection {
        PgConnection::connect(&url_of(&self.database, &self.login(service))).await.unwrap()
    }

    /// A connection of the tables' owner.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.unwrap()
    }

    /// Stores a row of a tenant in each table that has tenants.
    pub(crate) async fn fill(&self, tenant: TenantId, number: i64) {
        let mut owner = self.owner().await;
        for (table, column) in tenant_tables(&mut owner).await {
            let columns = sqlx::query(
                "SELECT column_name::TEXT, udt_name::TEXT FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1 AND is_nullable = 'NO'",
            );
            let columns = columns.bind(&table).fetch_all(&mut owner).await.unwrap();
            let (names, values): (Vec<String>, Vec<String>) = columns
                .iter()
                .map(|row| {
                    let (name, kind): (String, String) = (row.get(0), row.get(1));
                    let value = if name == column { format!("'{}'", uuid(tenant)) } else { value(&kind, number) };
                    (format!("\"{name}\""), value)
                })
                .unzip();
            let text = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut owner).await.unwrap();
        }
    }
}

/// A value of a type that nothing else has.
fn value(kind: &str, number: i64) -> String {
    match kind {
        "uuid" => format!("'{}'", Uuid::from_u128(rand_bits())),
        "bool" => "false".to_owned(),
        "bytea" => "'\\x00'".to_owned(),
        "text" => format!("'{number}'"),
        _ => number.to_string(),
    }
}

fn rand_bits() -> u128 {
    u128::from_be_bytes(*TenantId::generate().as_bytes())
}

/// A tenant's id as Postgres has it.
pub(crate) fn uuid(tenant: TenantId) -> Uuid {
    Uuid::from_bytes(*tenant.as_bytes())
}

/// The tables whose rows are tenants', the tenants' own first, and the column that says whose; the log's partitions are no
/// tables of their own.
pub(crate) async fn tenant_tables(conn: &mut PgConnection) -> Vec<(String, String)> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::TEXT, a.attname::TEXT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND (a.attname = 'tenant_id' OR (c.relname = 'tenants' AND a.attname = 'id'))
         ORDER BY c.relname <> 'tenants', c.relname",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    assert!(found.len() > 15, "{found:?}");
    found
}
