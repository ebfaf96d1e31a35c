//! A fleet of instances, made and paired through the API.

use crate::target::Target;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::PathBuf;
use warren_swarm::load::Fleet;

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
    let fleet = Fleet::pair(&arguments.target.place()?, arguments.instances, 0).await?;
    let ids: Vec<_> = fleet.members.iter().map(|member| member.id.as_str()).collect();
    std::fs::write(&arguments.out, ids.join("\n"))?;
    Ok(json!({"instances": ids.len(), "paired_s": fleet.paired.as_secs_f64()}))
}
