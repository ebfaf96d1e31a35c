//! What a test runs over.

/// The variable that says what tests run over: `cluster`, or else one process.
pub const BACKEND: &str = "WARREN_TEST_BACKEND";

/// What a Warren is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `warren standalone`: one process over SQLite.
    Standalone,
    /// A process of each role over Postgres, NATS and Redis.
    Cluster,
}

impl Backend {
    /// What [`BACKEND`] says.
    #[must_use]
    pub fn of_environment() -> Self {
        match std::env::var(BACKEND) {
            Ok(name) if name == "cluster" => Self::Cluster,
            _ => Self::Standalone,
        }
    }
}
