//! Where Warren and the simulator are.

use crate::http::Connection;
use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::Value;
use std::path::PathBuf;
use warren_swarm::{Endpoints, Place, Simulator};

#[derive(clap::Args)]
pub(crate) struct Target {
    /// The API's address, http://...
    #[arg(long)]
    pub(crate) api: String,
    /// A tenant's key.
    #[arg(long, env = "WARREN_KEY")]
    pub(crate) key: String,
    /// The simulator's address, http://...
    #[arg(long)]
    simulator: String,
}

impl Target {
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.api, &self.key).await
    }

    pub(crate) fn simulator(&self) -> Result<Simulator> {
        Simulator::new(&self.simulator)
    }

    pub(crate) fn place(&self) -> Result<Place> {
        Ok(Place {
            endpoints: Endpoints::new([self.api.clone()]),
            key: self.key.clone(),
            admin_key: String::new(),
            simulator: self.simulator()?,
        })
    }

    /// The phone number of an instance.
    pub(crate) async fn phone(&self, connection: &mut Connection, instance: &str) -> Result<String> {
        let (_, shown) = connection.call(Method::GET, &format!("/v1/instances/{instance}"), None).await?;
        Ok(shown.get("phone").and_then(Value::as_str).context("the instance has no number")?.to_owned())
    }
}

/// Who takes part.
#[derive(clap::Args)]
pub(crate) struct Members {
    /// The instances, one id a line.
    #[arg(long)]
    fleet: PathBuf,
}

impl Members {
    /// Their ids; an error if there is none.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let ids: Vec<String> = std::fs::read_to_string(&self.fleet)?.lines().map(str::to_owned).collect();
        ensure!(!ids.is_empty(), "the fleet is empty");
        Ok(ids)
    }
}
