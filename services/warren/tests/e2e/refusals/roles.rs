//! What a process of a cluster must not start with: a server that is named wrongly or away, a database that is not up to date.

use super::assert_refused;
use crate::binary;
use std::net::TcpListener;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use warren_testkit::cluster::{Durability, Role, Servers};
use warren_testkit::services::Port;
use warren_testkit::{Ended, PATIENCE, Process, eventually};

/// Longer than a server is waited for (5 s), on a machine that others use too.
const DEADLINE: Duration = Duration::from_secs(30);
/// A password that nobody has, and that nobody may read.
const CANARY: &str = "canary-0x5eC";

const DATABASE: &str = "DATABASE_URL";
const REDIS: &str = "REDIS_URL";
const NATS: &str = "NATS_URL";

/// Each role, and the servers that it cannot be without.
const ROLES: [(Role, &[&str]); 4] = [
    (Role::Gateway, &[DATABASE, REDIS, NATS]),
    (Role::Worker, &[DATABASE, REDIS, NATS]),
    (Role::Dispatcher, &[DATABASE, NATS]),
    (Role::Coordinator, &[REDIS]),
];

/// Servers that are well, and the settings of roles over them.
struct Ground {
    servers: Servers,
    folder: TempDir,
}

impl Ground {
    async fn start() -> Self {
        Self { servers: Servers::start(Durability::Shared).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// The binary with everything right but for these settings; an empty one is none.
    fn command(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        let media = self.folder.path().join("media");
        let right: [(&str, &str); 11] = [
            (DATABASE, &self.servers.ledger.url()),
            (REDIS, &self.servers.redis.url()),
            (NATS, &self.servers.nats.url()),
            ("WARREN_CLUSTER_SECRET", "0123456789abcdef0123456789abcdef"),
            ("WARREN_CLUSTER__COORDINATORS", "127.0.0.1:9"),
            ("WARREN_ADMIN_KEY", "Kc7Xw2Lp9Rt4Zm6Qb8Ns1VyD"),
            ("WARREN_SEALING_KEY", &"01".repeat(32)),
            ("WARREN_MEDIA__FOLDER", &media.to_string_lossy()),
            ("WARREN_LISTEN", "127.0.0.1:0"),
            ("WARREN_ADMIN_LISTEN", "127.0.0.1:0"),
            ("WARREN_COORDINATOR__LISTEN", "127.0.0.1:0"),
        ];
        command.envs(right);
        command.envs(changes.iter().copied());
        command
    }

    async fn migrate(&self) {
        let ended = Process::start(self.command(&["migrate"], &[])).unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    /// Starts a role, which refuses.
    async fn refused(&self, role: Role, changes: &[(&str, &str)]) -> Ended {
        let ended = Process::start(self.command(&[role.as_str()], changes)).unwrap().ended(DEADLINE).await;
        let ended = ended.unwrap_or_else(|error| panic!("a {} with {changes:?}: {error:#}", role.as_str()));
        assert!(!ended.stdout.contains("Metrics"), "a {} with {changes:?} served", role.as_str());
        assert!(!ended.stderr.contains(CANARY) && !ended.stdout.contains(CANARY), "{}", ended.stderr);
        ended
    }

    /// Starts a role, which says where it serves: what is refused is not refused for another reason.
    async fn serves(&self, role: Role) {
        let mut process = Process::start(self.command(&[role.as_str()], &[])).unwrap();
        let what = format!("a {} serves", role.as_str());
        let serves = eventually(&what, PATIENCE, async || {
            assert!(process.is_running(), "it ended: {}", process.last_lines(10));
            Ok(process.stdout().iter().any(|line| line.starts_with("Metrics")).then_some(()))
        });
        serves.await.unwrap();
        process.kill().await.unwrap();
    }
}

/// The same server with another password.
fn with_password(url: &str, password: &str) -> String {
    let (before, place) = url.rsplit_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    format!("{user}:{password}@{place}")
}

/// The same user at another place.
fn at(url: &str, place: &str) -> String {
    let with_password = with_password(url, CANARY);
    format!("{}@{place}", with_password.rsplit_once('@').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_named_wrongly_or_away() {
    let ground = Ground::start().await;
    ground.migrate().await;
    let closed = Port::take().unwrap();
    for (role, needed) in ROLES {
        for name in needed {
            let url = match *name {
                DATABASE => ground.servers.ledger.url(),
                REDIS => ground.servers.redis.url(),
                _ => ground.servers.nats.url(),
            };
            let (scheme, _) = url.split_once("://").unwrap();
            let place = closed.address().to_string();
            // A wrong setting, or something that may pass.
            for (value, code, word) in [
                (String::new(), 78, "is missing"),
                (at(&url, "127.0.0.1:port/warren"), 78, scheme),
                (at(&url, &place), 69, place.as_str()),
                (with_password(&url, CANARY), 69, "password"),
            ] {
                assert_refused(&ground.refused(role, &[(*name, &value)]).await, code, &[&format!("warren: {name}"), word]);
            }
        }
        ground.serves(role).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent() {
    let ground = Ground::start().await;
    ground.migrate().await;
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let servers = &ground.servers;
    let cases = [
        (Role::Gateway, DATABASE, at(&servers.ledger.url(), &place)),
        (Role::Coordinator, REDIS, at(&servers.redis.url(), &place)),
        (Role::Dispatcher, NATS, at(&servers.nats.url(), &place)),
    ];
    let (ground, place) = (&ground, place.as_str());
    let refused = cases.iter().map(|(role, name, value)| async move {
        let ended = ground.refused(*role, &[(name, value)]).await;
        assert_refused(&ended, 69, &[&format!("warren: {name}"), place]);
    });
    futures::future::join_all(refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_up_to_date() {
    let ground = Ground::start().await;
    let over_postgres = [Role::Gateway, Role::Worker, Role::Dispatcher];
    for role in over_postgres {
        assert_refused(&ground.refused(role, &[]).await, 78, &["pending", "warren migrate"]);
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let tables = ground.servers.ledger.execute(&[tables]).await.unwrap();
    assert_eq!(tables, "0", "nobody but `warren migrate` makes tables");
    ground.migrate().await;
    for role in over_postgres {
        ground.serves(role).await;
    }
    // As it is after an update of the binary alone.
    let last = "(SELECT max(version) FROM warren_migrations)";
    let back = format!("DELETE FROM warren_migrations WHERE version = {last}");
    ground.servers.ledger.execute(&[&back]).await.unwrap();
    let ended = ground.refused(Role::Worker, &[]).await;
    assert_refused(&ended, 78, &["pending", "warren migrate"]);
}
