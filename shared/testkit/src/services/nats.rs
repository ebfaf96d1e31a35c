//! NATS as a process.

use super::port::Port;
use super::server::{Launch, Server, folder};
use super::{binary, password};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the greeting of a server that is well.
const LIMIT: Duration = Duration::from_secs(10);
const USER: &str = "warren";

/// A private NATS server (core NATS only). Ended when dropped.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    password: String,
}

impl Nats {
    /// Starts one on a free port and waits until it greets.
    ///
    /// # Errors
    /// There is no `nats-server`, or it does not greet.
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    /// One with further lines in its configuration, such as `tls { .. }`.
    ///
    /// # Errors
    /// There is no `nats-server`, it does not understand them, or it does not greet.
    pub async fn start_with(settings: &str) -> Result<Self> {
        let program = binary::required("nats-server", "nats-server")?;
        let (port, folder, password) = (Port::take()?, folder("nats")?, password());
        let file = folder.path().join("nats.conf");
        let text = format!(
            "listen: \"{}\"\nauthorization {{ user: {USER}, password: \"{password}\" }}\nmax_payload: 1MB\n{settings}\n",
            port.address()
        );
        std::fs::write(&file, text).context("writing nats.conf")?;
        let arguments = vec!["-c".into(), file.into()];
        let launch = Launch { program, arguments, user: None, end: Signal::TERM };
        let server = Server::start(launch, port, folder).await?;
        let mut nats = Self { server, password };
        nats.ready().await?;
        Ok(nats)
    }

    /// Where it is, with user and password.
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

    /// The same as [`Nats::url`], as if it listened at `address` (a proxy before it).
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("nats://{USER}:{}@{address}", self.password)
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

    /// Starts it again on the same port, ending it first if it runs; waits until it greets.
    ///
    /// # Errors
    /// It does not greet.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.start_again().await?;
        self.ready().await
    }

    /// Whether it runs (also paused).
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    async fn ready(&mut self) -> Result<()> {
        let address = self.address();
        self.server
            .ready(async |_| {
                let greeting = timeout(LIMIT, async {
                    let mut lines = BufReader::new(TcpStream::connect(address).await?).lines();
                    lines.next_line().await
                });
                Ok(greeting.await.context("no greeting")??.is_some_and(|line| line.starts_with("INFO ")))
            })
            .await
    }
}
