//! Postgres as a process, and fresh databases in one that tests share.

use super::port::Port;
use super::server::{Launch, Server, folder};
use super::{binary, password};
use crate::tether;
use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// The variable that names a running Postgres for [`Postgres::database`], by the URL of a superuser. `cargo xtask test` starts
/// one for all tests.
pub const SHARED_POSTGRES: &str = "WARREN_TEST_POSTGRES";

/// Postgres refuses to run as root; Debian's package brings this user.
const USER: &str = "postgres";
/// The superuser, and the database that is always there.
const SUPERUSER: &str = "postgres";

/// How Postgres is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// When all clients have left (SIGTERM).
    Smart,
    /// Rolling back what is open (SIGINT).
    Fast,
    /// At once; the next start recovers (SIGQUIT).
    Immediate,
}

/// A private Postgres. Ended when dropped.
///
/// Without [`Postgres::start_durable`] nothing is synced to disk: what was committed survives SIGKILL, but not the machine.
#[derive(Debug)]
pub struct Postgres {
    server: Box<Server>,
    password: String,
}

impl Postgres {
    /// Starts one over a fresh cluster on a free port (about a second) and waits until it takes connections. For tests that
    /// kill, stop or pause the server; the others take [`Postgres::database`].
    ///
    /// # Errors
    /// Postgres is not installed, or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&["fsync=off", "full_page_writes=off"]).await
    }

    /// One that syncs every commit to disk.
    ///
    /// # Errors
    /// Postgres is not installed, or does not start.
    pub async fn start_durable() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// One with further settings, `name=value` each; nothing is switched off.
    ///
    /// # Errors
    /// Postgres is not installed, does not start, or does not know a setting.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let program = binary::required("postgres", "postgresql")?;
        let user = geteuid().is_root().then_some(USER);
        let (port, folder, password) = (Port::take()?, folder("postgres")?, password());
        init(&folder, user, &password).await?;
        let number = format!("port={}", port.number());
        let always = [
            number.as_str(),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            // In the data folder, so that a killed server leaves nothing in /dev/shm.
            "dynamic_shared_memory_type=mmap",
            "max_connections=400",
            "shared_buffers=64MB",
        ];
        let mut arguments = vec!["-D".into(), folder.path().join("data").into()];
        for setting in always.iter().chain(settings) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let launch = Launch { program, arguments, user, end: Signal::QUIT };
        let server = Box::new(Server::start(launch, port, folder).await?);
        let mut postgres = Self { server, password };
        postgres.ready().await?;
        Ok(postgres)
    }

    /// A fresh, empty database: in the server that [`SHARED_POSTGRES`] names, or else in a private one, which takes a second.
    ///
    /// # Errors
    /// It cannot be made, or there is no Postgres.
    pub async fn database() -> Result<Database> {
        match std::env::var(SHARED_POSTGRES) {
            Ok(server) => Database::create(&server, None).await,
            Err(_) => {
                let server = Self::start().await?;
                Database::create(&server.url(), Some(server)).await
            }
        }
    }

    /// Where it is: the URL of the superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.process_id()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.port().address()
    }

    /// The same as [`Postgres::url`], as if it listened at `address` (a proxy before it).
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://{SUPERUSER}:{}@{address}/{SUPERUSER}", self.password)
    }

    /// Runs statements as the superuser, each in a transaction of its own; returns the rows as text, columns divided by `|`.
    ///
    /// # Errors
    /// Postgres refuses one, or does not answer.
    pub async fn execute(&self, statements: &[&str]) -> Result<String> {
        psql(&self.url(), statements).await
    }

    /// SIGKILL to it and all its processes.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Asks it to stop; waits for the end.
    ///
    /// # Errors
    /// It does not run, or does not end ([`Stop::Smart`] waits for clients).
    pub async fn stop(&mut self, how: Stop) -> Result<()> {
        let signal = match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        self.server.stop(signal).await
    }

    /// SIGSTOP to it and all its processes: connections stay open and nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.server.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.server.resume()
    }

    /// Starts it again on the same port and data, ending it first if it runs; waits until it takes connections.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.start_again().await?;
        self.ready().await
    }

    /// Whether it runs (also paused).
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    async fn ready(&mut self) -> Result<()> {
        // It takes connections before, and refuses them: only the log tells the moment.
        let told = |line: &String| line.contains("database system is ready to accept connections");
        self.server.ready(async |process| Ok(process.stderr().iter().any(told))).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A killed one leaves its shared memory, which only a restart or this removes. Line 7 names it: key and id.
        if self.server.is_running() {
            return;
        }
        let Ok(lock) = std::fs::read_to_string(self.server.path().join("data/postmaster.pid")) else { return };
        if let Some(memory) = lock.lines().nth(6).and_then(|line| line.split_whitespace().last()) {
            let _ = std::process::Command::new("ipcrm").args(["-m", memory]).stderr(Stdio::null()).status();
        }
    }
}

/// Makes the data folder `data`, with one superuser whose password is asked for.
async fn init(folder: &TempDir, user: Option<&str>, password: &str) -> Result<()> {
    let initdb = binary::required("initdb", "postgresql")?;
    let data = folder.path().join("data");
    let secret = folder.path().join("password");
    std::fs::write(&secret, password).context("writing the password")?;
    if let Some(user) = user {
        let owned = |path: &Path, arguments: &[&str]| {
            let mut command = Command::new("install");
            command.args(["-o", user, "-g", user]).args(arguments).arg(path);
            done(command, "preparing the data folder")
        };
        owned(&data, &["-d", "-m", "700"]).await?;
        let readable = folder.path().join("initial");
        owned(&readable, &["-m", "600", &secret.to_string_lossy()]).await?;
        std::fs::rename(&readable, &secret).context("handing over the password")?;
    }
    let mut command = tether::command(&initdb, user);
    command.env("LC_ALL", "C");
    command.arg("-D").arg(&data).arg(format!("--pwfile={}", secret.display())).args(["-U", SUPERUSER]);
    // Passwords of roles are checked, without the thousands of rounds that SCRAM costs every connection.
    command.args(["-A", "password", "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8"]);
    command.current_dir(folder.path());
    done(command, "initdb (can its user reach TMPDIR?)").await?;
    std::fs::remove_file(&secret).context("removing the password")
}

/// A fresh database for one test: of a shared server, or with a private one. Dropped with it.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    url: String,
    private: Option<Postgres>,
}

impl Database {
    async fn create(server: &str, private: Option<Postgres>) -> Result<Self> {
        let name = format!("test_{}", password());
        let (before, _) = server.rsplit_once('/').context("the URL names no database")?;
        let url = format!("{before}/{name}");
        psql(server, &[&format!("CREATE DATABASE {name} TEMPLATE template0")]).await?;
        Ok(Self { server: server.to_owned(), name, url, private })
    }

    /// Where it is: the URL of the superuser. Roles belong to the whole server, which other tests share.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements as the superuser, each in a transaction of its own; returns the rows as text, columns divided by `|`.
    ///
    /// # Errors
    /// Postgres refuses one, or does not answer.
    pub async fn execute(&self, statements: &[&str]) -> Result<String> {
        psql(&self.url, statements).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.private.is_none()
            && let Ok(mut command) =
                psql_command(&self.server, &[&format!("DROP DATABASE {} WITH (FORCE)", self.name), &roles_go(&self.name)])
        {
            let _ = command.as_std_mut().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// Runs statements on any Postgres, each in a transaction of its own; returns the rows as text, columns divided by `|`.
///
/// # Errors
/// Postgres refuses one, or does not answer.
pub async fn query(url: &str, statements: &[&str]) -> Result<String> {
    psql(url, statements).await
}

/// Removes the roles of the server whose names begin with a database's: they lose what they had with it.
fn roles_go(database: &str) -> String {
    format!(
        "DO $$ DECLARE role TEXT; BEGIN
             FOR role IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{database}_') LOOP
                 EXECUTE format('DROP ROLE %I', role);
             END LOOP;
         END $$"
    )
}

async fn psql(url: &str, statements: &[&str]) -> Result<String> {
    done(psql_command(url, statements)?, "psql").await
}

fn psql_command(url: &str, statements: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary::required("psql", "postgresql")?);
    // Not as an argument, which everybody on the machine can read.
    let (url, password) = without_password(url);
    command.env("PGPASSWORD", password.unwrap_or_default()).env("PGCONNECT_TIMEOUT", "10");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url]);
    for statement in statements {
        command.args(["-c", statement]);
    }
    Ok(command)
}

fn without_password(url: &str) -> (String, Option<&str>) {
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let (user, place) = rest.split_once('@')?;
        let (name, password) = user.split_once(':')?;
        Some((format!("{scheme}://{name}@{place}"), Some(password)))
    };
    parts().unwrap_or_else(|| (url.to_owned(), None))
}

/// Runs a command to its end and returns what it wrote.
async fn done(mut command: Command, what: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.with_context(|| what.to_owned())?;
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
