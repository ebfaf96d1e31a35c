//! Fault points and mutations, for test builds (feature `fault-injection`). In every other build each of these functions
//! is empty and is compiled away.
//!
//! A *fault point* is a named place at which a test wants the process to die: `WARREN_FAULT_POINT=name` kills it with
//! SIGKILL when it gets there the first time, `name:3` the third time. With `name:3:stop` it stands still there (SIGSTOP),
//! until somebody lets it go on.
//!
//! A *mutation* switches off one protection, so that a test can show that its checker would notice:
//! `WARREN_MUTATION=name`.

/// Dies or stands still here if a test asked for it. Names are `subject.moment`, such as `outbound.handed`.
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
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// How long the signal may take to reach every thread.
    const DELIVERY: Duration = Duration::from_millis(100);

    struct Target {
        name: String,
        remaining: AtomicU64,
        signal: Signal,
    }

    impl Target {
        fn parse(text: &str) -> Self {
            let mut parts = text.split(':');
            let name = parts.next().unwrap_or_default().to_owned();
            let remaining = parts.next().and_then(|count| count.parse().ok()).unwrap_or(1);
            // SIGKILL and not abort: nothing may be flushed on the way out.
            let signal = if parts.next() == Some("stop") { Signal::STOP } else { Signal::KILL };
            Self { name, remaining: AtomicU64::new(remaining), signal }
        }
    }

    fn target() -> Option<&'static Target> {
        static TARGET: OnceLock<Option<Target>> = OnceLock::new();
        TARGET.get_or_init(|| Some(Target::parse(&std::env::var("WARREN_FAULT_POINT").ok()?))).as_ref()
    }

    pub(super) fn point(name: &str) {
        let Some(target) = target().filter(|target| target.name == name) else { return };
        if target.remaining.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = kill_process(getpid(), target.signal);
            // Another thread may be the one that gets it: this one goes no further before all have.
            std::thread::sleep(DELIVERY);
        }
    }

    pub(super) fn mutation(name: &str) -> bool {
        static MUTATION: OnceLock<Option<String>> = OnceLock::new();
        MUTATION.get_or_init(|| std::env::var("WARREN_MUTATION").ok()).as_deref() == Some(name)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_target_says_when_and_how() {
            let read = |text: &str| {
                let Target { name, remaining, signal } = Target::parse(text);
                (name, remaining.into_inner(), signal)
            };
            assert_eq!(read("a.b"), ("a.b".to_owned(), 1, Signal::KILL));
            assert_eq!(read("a.b:3"), ("a.b".to_owned(), 3, Signal::KILL));
            assert_eq!(read("a.b:3:stop"), ("a.b".to_owned(), 3, Signal::STOP));
        }
    }
}
