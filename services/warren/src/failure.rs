//! Why the process ends, as one line and an exit code.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, after `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    /// `doctor` found something.
    Found = 1,
    /// Something that is needed does not answer.
    Unavailable = 69,
    /// A part of the process crashed.
    Crashed = 70,
    /// The operating system refused.
    System = 71,
    /// Another process holds what is needed; later is fine.
    Held = 75,
    /// A setting is wrong, or the store refuses to be used like this.
    Config = 78,
}

/// An end that is not a success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: Code,
    line: String,
}

impl Failure {
    /// A setting is wrong, or the store refuses to be used like this.
    pub(crate) fn config(line: impl fmt::Display) -> Self {
        Self::new(Code::Config, line)
    }

    /// Another process holds what is needed.
    pub(crate) fn held(line: impl fmt::Display) -> Self {
        Self::new(Code::Held, line)
    }

    /// Something that is needed does not answer.
    pub(crate) fn unavailable(line: impl fmt::Display) -> Self {
        Self::new(Code::Unavailable, line)
    }

    /// The operating system refused.
    pub(crate) fn system(line: impl fmt::Display) -> Self {
        Self::new(Code::System, line)
    }

    /// A part of the process crashed.
    pub(crate) fn crashed(line: impl fmt::Display) -> Self {
        Self::new(Code::Crashed, line)
    }

    /// `doctor` found something.
    pub(crate) fn found(line: impl fmt::Display) -> Self {
        Self::new(Code::Found, line)
    }

    fn new(code: Code, line: impl fmt::Display) -> Self {
        // Whatever an operating system or a library put into it: it stays one line.
        let line = line.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { code, line }
    }

    /// Says it to standard error.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("warren: {}", self.line);
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl From<warren_domain::Error> for Failure {
    fn from(error: warren_domain::Error) -> Self {
        let cause = std::error::Error::source(&error).map(|source| format!(" ({source})")).unwrap_or_default();
        Self::unavailable(format!("the store: {error}{cause}"))
    }
}
