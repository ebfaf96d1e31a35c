//! A role for each service: group roles of the server, which own nothing and cannot log in.
//!
//! Roles belong to the server and not to the database, so their names begin with the database's: `warren_gateway`,
//! `warren_worker` and `warren_dispatcher` in a database that is called `warren`. Migrating makes them, grants them what their
//! services need (`rights`) and puts the gateway's under row level security. A login that may act as one of them does so from
//! its first statement on; whichever it is, the rights are the role's. Where there is no role, because whoever migrated may make
//! none, services run with all rights of their login, and say so.
//!
//! A login that may act as more than one role, as the owner's may, can change it: the role then protects from mistakes. A login
//! of its own for each service, member of its role alone, protects from a service that somebody has taken over as well.

mod rights;

use crate::Postgres;
use crate::open::OpenError;
use rights::quoted;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// In `meta`: which rights were granted last.
const GRANTED: &str = "store.roles";
/// The longest beginning that is taken from a database's name, bytes: a name has 63.
const LONGEST: usize = 48;
/// SQLSTATE: not allowed.
const DENIED: &str = "42501";

/// Who uses the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Sees a tenant's rows at a time, and raises no epoch.
    Gateway,
    /// Sees all rows of what it owns; no key of the API, no webhook.
    Worker,
    /// Sees webhooks and the log.
    Dispatcher,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Worker, Self::Dispatcher];

    const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Dispatcher => "dispatcher",
        }
    }

    /// The name of its role for a database.
    #[must_use]
    pub fn role(self, database: &str) -> String {
        let mut start = database.to_owned();
        if start.len() > LONGEST {
            // Two long names that begin alike stay apart.
            let mark = hex::encode(Sha256::digest(database)).chars().take(8).collect::<String>();
            while start.len() > LONGEST - mark.len() - 1 {
                start.pop();
            }
            start = format!("{start}_{mark}");
        }
        format!("{start}_{}", self.name())
    }
}

/// The names of a database's roles.
struct Names {
    gateway: String,
    worker: String,
    dispatcher: String,
}

impl Names {
    fn of(database: &str) -> Self {
        Self {
            gateway: Service::Gateway.role(database),
            worker: Service::Worker.role(database),
            dispatcher: Service::Dispatcher.role(database),
        }
    }

    fn all(&self) -> [&str; 3] {
        [&self.gateway, &self.worker, &self.dispatcher]
    }
}

async fn database(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT current_database()::TEXT").fetch_one(conn).await
}

/// Makes the roles, and grants what they lack. What this login may not make is said in one warning, and is no error.
pub(crate) async fn settle(conn: &mut PgConnection) -> Result<(), OpenError> {
    let names = Names::of(&database(&mut *conn).await?);
    for role in names.all() {
        match make(&mut *conn, role).await {
            Ok(()) => {}
            Err(error) if is_denied(&error) => {
                tracing::warn!(
                    "this login may make no roles, so services will run with all its rights; let an administrator run \
                     `{}` and run `warren migrate` again",
                    by_hand(&names),
                );
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    refuse_powerful(&mut *conn, &names).await?;
    grant(conn, &names).await?;
    Ok(())
}

/// What makes the roles, for whoever may.
fn by_hand(names: &Names) -> String {
    let make = |role| format!("CREATE ROLE {role} NOLOGIN; GRANT {role} TO <the login of DATABASE_URL>");
    names.all().map(quoted).map(make).join("; ")
}

fn is_denied(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == DENIED)
}

/// Makes a role that is not there, and lets this login act as it.
async fn make(conn: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    let there: Option<bool> = may_act(&mut *conn, role).await?;
    if there == Some(true) {
        return Ok(());
    }
    let name = quoted(role);
    if there.is_none() {
        // Other databases of this server have roles of their own, and this one is locked; but names are free to be taken by hand.
        let text = format!(
            "DO $make$ BEGIN CREATE ROLE {name} NOLOGIN NOINHERIT;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $make$"
        );
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *conn).await?;
    }
    match sqlx::raw_sql(AssertSqlSafe(format!("GRANT {name} TO CURRENT_USER"))).execute(conn).await {
        // It is there, and others may act as it.
        Err(error) if is_denied(&error) && there.is_some() => Ok(()),
        done => done.map(drop),
    }
}

/// Whether this login may act as a role; `None` if there is no such role.
async fn may_act(conn: &mut PgConnection, role: &str) -> sqlx::Result<Option<bool>> {
    // From Postgres 16 on a member may be one that only administrates the role.
    sqlx::query_scalar(
        "SELECT pg_has_role(session_user, oid,
             CASE WHEN current_setting('server_version_num')::INTEGER >= 160000 THEN 'SET' ELSE 'MEMBER' END)
         FROM pg_roles WHERE rolname = $1",
    )
    .bind(role)
    .fetch_optional(conn)
    .await
}

/// A role of this name that can do more than a service's may be anybody's: it is not used.
async fn refuse_powerful(conn: &mut PgConnection, names: &Names) -> Result<(), OpenError> {
    let powerful: Option<String> = sqlx::query_scalar(
        "SELECT rolname::TEXT FROM pg_roles WHERE rolname = ANY ($1)
             AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcanlogin OR pg_has_role(oid, current_user, 'MEMBER')) LIMIT 1",
    )
    .bind(names.all().map(str::to_owned).to_vec())
    .fetch_optional(conn)
    .await?;
    powerful.map_or(Ok(()), |role| Err(OpenError::PowerfulRole { role }))
}

/// Grants everything, unless it is what was granted last: it locks every table for a moment.
async fn grant(conn: &mut PgConnection, names: &Names) -> sqlx::Result<()> {
    let schema: String = sqlx::query_scalar("SELECT current_schema()::TEXT").fetch_one(&mut *conn).await?;
    let sql = rights::sql(&schema, names);
    let mark = Sha256::digest(&sql).to_vec();
    let mut transaction = conn.begin().await?;
    let granted: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM meta WHERE name = $1 AND value = $2)
             AND (SELECT bool_and(has_table_privilege(role, 'events', 'SELECT')) FROM unnest($3::TEXT[]) AS role)",
    )
    .bind(GRANTED)
    .bind(&mark)
    .bind(names.all().map(str::to_owned).to_vec())
    .fetch_one(&mut *transaction)
    .await?;
    if granted {
        return Ok(());
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(GRANTED)
        .bind(&mark)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    tracing::info!(gateway = names.gateway, worker = names.worker, dispatcher = names.dispatcher, "rights were granted");
    Ok(())
}

/// Has a connection act as the service's role from now on, if there is one and the login may; which role that is.
pub(crate) async fn act(conn: &mut PgConnection, service: Service) -> Result<Option<String>, OpenError> {
    let role = service.role(&database(&mut *conn).await?);
    match may_act(&mut *conn, &role).await? {
        Some(true) => {
            become_role(conn, &role).await?;
            tracing::info!(role, "the database gives this process the rights of its role");
            Ok(Some(role))
        }
        Some(false) if !owns_tables(&mut *conn).await? => {
            let login = sqlx::query_scalar("SELECT session_user::TEXT").fetch_one(conn).await?;
            Err(OpenError::NoMember { login, role })
        }
        found => {
            let why = if found.is_some() { "its login is no member of it" } else { "there is none: see `warren migrate`" };
            tracing::warn!(
                role,
                "this process has all rights of its login in the database and not those of its role; {why}"
            );
            Ok(None)
        }
    }
}

/// Whether a login has the rights of the tables' owner.
async fn owns_tables(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let owns: Option<bool> = sqlx::query_scalar(
        "SELECT pg_has_role(session_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('warren_migrations')",
    )
    .fetch_optional(conn)
    .await?;
    // Without tables nothing is refused.
    Ok(owns.unwrap_or(true))
}

/// `SET ROLE`, for as long as the connection lives.
pub(crate) async fn become_role(conn: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config('role', $1, false)").bind(role).persistent(false).execute(conn).await?;
    Ok(())
}

/// How a login stands to the roles of its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The login.
    pub login: String,
    /// Whether it is a superuser, or one whom row level security does not concern.
    pub unbound: bool,
    /// The roles that there are.
    pub roles: Vec<String>,
    /// Those of them that the login may act as.
    pub acts_as: Vec<String>,
}

impl Postgres {
    /// How the login of this store stands to the roles of its database.
    ///
    /// # Errors
    /// `Unavailable` if the store does not answer in time.
    pub async fn standing(&self) -> warren_domain::Result<Standing> {
        self.reading(|| async {
            let mut conn = self.pool().acquire().await?;
            let row =
                sqlx::query("SELECT rolname::TEXT, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user")
                    .fetch_one(&mut *conn)
                    .await?;
            let mut standing =
                Standing { login: row.try_get(0)?, unbound: row.try_get(1)?, roles: Vec::new(), acts_as: Vec::new() };
            let database = database(&mut conn).await?;
            for role in Service::ALL.map(|service| service.role(&database)) {
                if let Some(may) = may_act(&mut conn, &role).await? {
                    standing.acts_as.extend(may.then(|| role.clone()));
                    standing.roles.push(role);
                }
            }
            Ok(standing)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(Service::Gateway.role("warren"), "warren_gateway");
        let long = |last: &str| Service::Dispatcher.role(&("é".repeat(31) + last));
        assert!(long("a").len() <= 63 && long("a") != long("b"), "{}", long("a"));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}
