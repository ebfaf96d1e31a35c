//! Fault points and mutations, for test builds (feature `fault-injection`). In every other build each of these functions
//! is empty and is compiled away.
//!
//! A *fault point* is a named place at which a test wants the process to die: `WARREN_FAULT_POINT=name` kills it with
//! SIGKILL when it gets there the first time, `name:3` the third time.
//!
//! A *mutation* switches off one protection, so that a test can show that its checker would notice:
//! `WARREN_MUTATION=name`.

/// Dies here if a test asked for it. Names are `subject.moment`, such as `outbound.handed`.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(feature = "fault-injection")]
    injected::point(name);
    #[cfg(not(feature = "fault-injection"))]
    let _ = name;
}

/// Whether a test switched this protection off. Always `false` outside test builds.
#[inline]
#[must_use]
pub fn mutation(name: &'static str) -> bool {
    #[cfg(feature = "fault-injection")]
    return injected::mutation(name);
    #[cfg(not(feature = "fault-injection"))]
    {
        let _ = name;
        false
    }
}

#[cfg(feature = "fault-injection")]
mod injected {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Target {
        name: String,
        remaining: AtomicU64,
    }

    fn target() -> Option<&'static Target> {
        static TARGET: OnceLock<Option<Target>> = OnceLock::new();
        TARGET
            .get_or_init(|| {
                let text = std::env::var("WARREN_FAULT_POINT").ok()?;
                let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
                Some(Target { name: name.to_owned(), remaining: AtomicU64::new(count.parse().unwrap_or(1)) })
            })
            .as_ref()
    }

    pub(super) fn point(name: &str) {
        let Some(target) = target().filter(|target| target.name == name) else { return };
        if target.remaining.fetch_sub(1, Ordering::SeqCst) == 1 {
            // SIGKILL and not abort: nothing may be flushed on the way out.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    pub(super) fn mutation(name: &str) -> bool {
        static MUTATION: OnceLock<Option<String>> = OnceLock::new();
        MUTATION.get_or_init(|| std::env::var("WARREN_MUTATION").ok()).as_deref() == Some(name)
    }
}
