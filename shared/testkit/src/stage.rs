//! The usual stage: a simulator that lives through everything, and a Warren connected to it: one process, or a small cluster
//! where [`crate::BACKEND`] says so.

use crate::api::Api;
use crate::eventually::{PATIENCE, eventually};
use crate::simulator::Simulator;
use crate::warren::{Backend, Network, Options, Warren};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// A simulator and a Warren.
#[derive(Debug)]
pub struct Stage {
    /// The simulator.
    pub simulator: Simulator,
    /// Warren.
    pub warren: Warren,
    /// A client with the default tenant's key.
    pub api: Api,
}

/// An instance that is linked to an account.
#[derive(Debug, Clone)]
pub struct Paired {
    /// The instance's id.
    pub id: String,
    /// The account's number.
    pub phone: String,
}

impl Stage {
    /// Starts both over fresh folders.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, |options| options).await
    }

    /// The same, with changed options.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start_with(binary: &Path, change: impl FnOnce(Options) -> Options) -> Result<Self> {
        let simulator = Simulator::start(binary).await?;
        let network = Network::Simulator(simulator.url().to_owned());
        let options = change(Options::new(binary, network).backend(Backend::of_environment()));
        let warren = Warren::start(options).await?;
        let api = warren.api()?;
        Ok(Self { simulator, warren, api })
    }

    /// Kills Warren (if it still lives) and starts it again on the same folder, without fault point and mutation.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.warren.restart().await?;
        self.api = self.warren.api()?;
        Ok(())
    }

    /// The same, with changed options. A process that dies before it answers (at a fault point) is no error.
    ///
    /// # Errors
    /// It neither starts nor dies.
    pub async fn restart_with(&mut self, change: impl FnOnce(Options) -> Options) -> Result<()> {
        let started = self.warren.restart_with(change).await;
        if started.is_err() && self.warren.is_running() {
            return started;
        }
        self.api = self.warren.api()?;
        Ok(())
    }

    /// Makes an instance and pairs it by a simulated scan; waits until it is online.
    ///
    /// # Errors
    /// It does not come online.
    pub async fn pair(&self, name: &str) -> Result<Paired> {
        let id = self.api.create_instance(name).await?.id;
        let phone = self.pair_as(&id, None).await?;
        Ok(Paired { id, phone })
    }

    /// Pairs an instance with a number's account, or a fresh one; waits until it is online.
    ///
    /// # Errors
    /// It does not come online.
    pub async fn pair_as(&self, id: &str, phone: Option<&str>) -> Result<String> {
        self.api.start_pairing(id).await?;
        let qr = self.qr(id).await?;
        let scanned = self.simulator.scan(&qr, phone).await?;
        if let Err(error) = self.state(id, "online").await {
            let pairing = self.api.pairing(id).await.map(|pairing| pairing.state);
            return Err(error.context(format!("paired with an account, the pairing is {pairing:?}")));
        }
        Ok(scanned.phone)
    }

    /// Waits for the text of the QR code.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn qr(&self, id: &str) -> Result<String> {
        eventually("a QR code", PATIENCE, async || Ok(self.api.pairing(id).await?.qr)).await
    }

    /// Waits for a state of an instance.
    ///
    /// # Errors
    /// It does not come in time; the error tells the state it has.
    pub async fn state(&self, id: &str, state: &str) -> Result<()> {
        eventually(&format!("the state {state}"), PATIENCE, async || {
            let instance = self.api.instance(id).await?;
            ensure!(instance.state == state, "it is {} ({:?})", instance.state, instance.reason);
            Ok(Some(()))
        })
        .await
        .with_context(|| format!("the log:\n{}", self.warren.last_lines(30)))
    }

    /// Waits until a message has at least this status (of `sent`, `delivered`, `read`).
    ///
    /// # Errors
    /// It does not get there in time, or fails.
    pub async fn status(&self, message: &str, status: &str) -> Result<()> {
        let rank =
            |status: &str| ["queued", "handed", "sent", "delivered", "read", "played"].iter().position(|s| *s == status);
        eventually(&format!("the status {status}"), PATIENCE, async || {
            let now = self.api.message(message).await?;
            ensure!(rank(&now.status) >= rank(status), "it is {} ({:?})", now.status, now.reason);
            Ok(Some(()))
        })
        .await
        .with_context(|| format!("the log:\n{}", self.warren.last_lines(30)))
    }
}
