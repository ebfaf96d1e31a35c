//! A fleet of instances, made and paired through the API.

use crate::{simulator::Simulator, target::Target};
use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

const DEADLINE: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 32;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How many instances.
    #[arg(long, default_value_t = 1000)]
    instances: usize,
    /// Where their ids are written, one a line.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let arguments = Arc::new(arguments);
    let simulator = Arc::new(arguments.target.simulator()?);
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let started = Instant::now();
    let pairings = (0..arguments.instances).map(|_| {
        let (arguments, simulator, gate) = (arguments.clone(), simulator.clone(), gate.clone());
        tokio::spawn(async move {
            let _permit = gate.acquire_owned().await?;
            tokio::time::timeout(DEADLINE, pair(&arguments, &simulator)).await.context("an instance did not come online")?
        })
    });
    let mut ids = Vec::with_capacity(arguments.instances);
    for id in futures::future::join_all(pairings).await {
        ids.push(id??);
    }
    std::fs::write(&arguments.out, ids.join("\n"))?;
    Ok(json!({"instances": ids.len(), "paired_s": started.elapsed().as_secs_f64()}))
}

async fn pair(arguments: &Arguments, simulator: &Simulator) -> Result<String> {
    let mut api = arguments.target.connect().await?;
    let (status, instance) = api.call(Method::POST, "/v1/instances", Some(&json!({}))).await?;
    ensure!(status == 201, "creating an instance was answered with {status}");
    let id = instance.get("id").and_then(Value::as_str).context("no id")?.to_owned();
    let path = format!("/v1/instances/{id}/pairing");
    let (status, _) = api.call(Method::POST, &path, Some(&json!({"method": "qr"}))).await?;
    ensure!(status == 202, "the pairing was answered with {status}");
    let code = loop {
        let (_, pairing) = api.call(Method::GET, &path, None).await?;
        if let Some(code) = pairing.get("qr").and_then(Value::as_str) {
            break code.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    simulator.scan(&code).await?;
    loop {
        let (_, instance) = api.call(Method::GET, &format!("/v1/instances/{id}"), None).await?;
        if instance.get("state").is_some_and(|state| state == "online") {
            return Ok(id);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
