//! Redis as a process.

use super::port::Port;
use super::server::{Launch, Server, folder};
use super::{binary, password};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For one command to a server that is well.
const LIMIT: Duration = Duration::from_secs(10);

/// A private Redis. It keeps nothing on disk: a restart forgets everything. Ended when dropped.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    password: String,
}

impl Redis {
    /// Starts one on a free port and waits until it answers.
    ///
    /// # Errors
    /// There is no `redis-server`, or it does not answer.
    pub async fn start() -> Result<Self> {
        let program = binary::required("redis-server", "redis-server")?;
        let (port, folder, password) = (Port::take()?, folder("redis")?, password());
        let settings = folder.path().join("redis.conf");
        let text = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {password}\nsave \"\"\nappendonly no\ndir {}\n",
            port.number(),
            folder.path().display()
        );
        std::fs::write(&settings, text).context("writing redis.conf")?;
        let launch = Launch { program, arguments: vec![settings.into()], user: None, end: Signal::TERM };
        let server = Server::start(launch, port, folder).await?;
        let mut redis = Self { server, password };
        redis.ready().await?;
        Ok(redis)
    }

    /// Where it is, with its password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@{}/", self.password, self.address())
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

    /// The same, as if it listened at `address` (a proxy before it).
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("redis://:{}@{address}/", self.password)
    }

    /// Makes it forget everything.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn flush_all(&self) -> Result<()> {
        ask(self.address(), &self.password, "FLUSHALL").await
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// SIGTERM; waits for the end.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::TERM).await
    }

    /// SIGSTOP: connections stay open and nothing is answered.
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

    /// Starts it again on the same port, ending it first if it runs; waits until it answers.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.start_again().await?;
        self.ready().await
    }

    /// Whether it runs (also paused).
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    async fn ready(&mut self) -> Result<()> {
        let (address, password) = (self.address(), self.password.clone());
        self.server.ready(async |_| ask(address, &password, "PING").await.map(|()| true)).await
    }
}

/// Sends one command and expects that it is done.
async fn ask(address: SocketAddr, password: &str, command: &str) -> Result<()> {
    let answered = timeout(LIMIT, async {
        let mut stream = TcpStream::connect(address).await.context("connecting to Redis")?;
        stream.write_all(format!("AUTH {password}\r\n{command}\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    });
    let Ok(answer) = answered.await else { bail!("Redis did not answer {command} within {LIMIT:?}") };
    let answer = answer?;
    ensure!(answer.lines().count() == 3 && answer.lines().all(|line| line.starts_with('+')), "Redis said: {answer}");
    Ok(())
}
