//! Writes the description of the API to standard output: `cargo xtask openapi` keeps the committed one with it.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(warren_gateway::openapi().as_bytes())
}
