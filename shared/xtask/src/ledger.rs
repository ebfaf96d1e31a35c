//! The Postgres that tests share: started once, because starting one takes longer than most tests.

use crate::shell::Program;
use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use warren_testkit::services::{Postgres, SHARED_POSTGRES};

/// What to run beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A program and its arguments, such as `-- cargo nextest run -p warren-postgres`.
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

/// A running Postgres. It ends when this is dropped, and with this process.
pub(crate) struct Shared {
    url: String,
    /// Before the runtime that watches its process.
    _server: Postgres,
    _runtime: Runtime,
}

impl Shared {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        let runtime = Runtime::new().context("a runtime")?;
        let server = runtime.block_on(Postgres::start()).context("starting Postgres for the tests")?;
        Ok(Self { url: server.url(), _server: server, _runtime: runtime })
    }

    /// Lets a program know it.
    pub(crate) fn told(&self, program: Program) -> Program {
        program.env(SHARED_POSTGRES, &self.url)
    }
}

/// Runs a command beside it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (program, arguments) = options.command.split_first().context("no command")?;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let shared = Shared::start()?;
    shared.told(Program::new(program, &arguments)).run()
}
