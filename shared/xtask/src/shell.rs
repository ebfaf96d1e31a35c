//! Running other programs.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program with its arguments, run at the root of the workspace.
pub(crate) struct Program {
    command: Command,
    line: String,
}

impl Program {
    /// `cargo`, the one that runs this.
    pub(crate) fn cargo(arguments: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut program = Self::new(Path::new(&cargo), arguments);
        program.line = format!("cargo {}", arguments.join(" "));
        program
    }

    /// Any program.
    pub(crate) fn new(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(root());
        // What cargo says of the package that it runs: a cargo below this would build anew what looks at it.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                command.env_remove(name);
            }
        }
        Self { command, line: format!("{} {}", program.as_ref().display(), arguments.join(" ")) }
    }

    /// With this in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it, showing what it is and what it says.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("\n$ {}", self.line);
        let status = self.command.stdin(Stdio::null()).status().with_context(|| format!("`{}` cannot be run", self.line))?;
        if !status.success() {
            bail!("`{}` failed: {status}", self.line);
        }
        Ok(())
    }

    /// Runs it silently and returns what it wrote to standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("`{}` cannot be run", self.line))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.line, output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no text", self.line))
    }

    /// Whether it is there and answers with success.
    pub(crate) fn works(mut self) -> bool {
        let status = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// The root of the workspace: of the checkout that cargo runs this for, which with a shared target folder need not be the one
/// that it was built in.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let here = Path::new(&here);
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
