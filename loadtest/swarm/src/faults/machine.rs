//! How busy the machine is. What a fault costs is paid from what the load leaves over, so a figure without this says little.

/// The machine's CPU time since its start, in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuTime {
    idle: u64,
    all: u64,
}

impl CpuTime {
    /// Until now; `None` where the system does not say.
    pub(super) fn now() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal, and guests, which are in user and nice.
    fn read(stat: &str) -> Option<Self> {
        let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
    }

    /// What part of all CPUs was busy since an earlier time, 0 to 1.
    pub(super) fn busy_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1) as f64;
        1.0 - (self.idle.saturating_sub(earlier.idle) as f64 / all).min(1.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn tells_the_busy_part() {
        let earlier = CpuTime::read("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4\n").unwrap();
        let later = CpuTime::read("cpu  130 0 120 750 100 0 0 0 50 0\n").unwrap();
        assert!((later.busy_since(earlier) - 0.5).abs() < 1e-9);
        assert!(CpuTime::read("intr 1 2 3\n").is_none());
        assert!(CpuTime::now().is_some());
    }
}
