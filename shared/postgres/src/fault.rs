//! Mutations, for test builds (feature `fault-injection`). In every other build there is none, and what asks for one is compiled
//! away.
//!
//! A *mutation* switches off one protection of a store, so that a test can show that its checks would notice: the option
//! `mutation`, or else `WARREN_MUTATION`, names it.
//!
//! - `fence_off`: a write is carried out whatever epoch it is of.
//! - `late_statement`: a lane goes on without the proof that its connection that broke is no more.

use crate::open::Options;

/// The protection that a store is without, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutation {
    #[cfg(feature = "fault-injection")]
    name: Option<&'static str>,
}

impl Mutation {
    pub(crate) fn of(options: &Options) -> Self {
        #[cfg(feature = "fault-injection")]
        return Self { name: options.mutation };
        #[cfg(not(feature = "fault-injection"))]
        {
            let _ = options;
            Self {}
        }
    }

    /// Whether a test switched this protection off. Always `false` outside test builds.
    #[inline]
    pub(crate) fn is(self, name: &'static str) -> bool {
        #[cfg(feature = "fault-injection")]
        return self.name == Some(name);
        #[cfg(not(feature = "fault-injection"))]
        {
            let _ = (self, name);
            false
        }
    }
}

/// What the environment of the process says.
#[cfg(feature = "fault-injection")]
pub(crate) fn of_environment() -> Option<&'static str> {
    static MUTATION: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    MUTATION.get_or_init(|| std::env::var("WARREN_MUTATION").ok()).as_deref()
}
