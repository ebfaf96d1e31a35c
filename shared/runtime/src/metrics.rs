//! Metrics: one registry a process (no global one: two sandboxes in a process must not share it).

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

/// Where metrics are registered. Names are written whole (`warren_...`), in base units; labels come from closed lists and
/// never hold a tenant, a number or an address.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
}

/// One more in a gauge as long as it lives, however it ends.
#[derive(Debug)]
pub struct Counted<'a>(&'a IntGauge);

impl<'a> Counted<'a> {
    /// Counts from now on.
    #[must_use]
    pub fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Buckets for spans from 100 microseconds to 30 seconds.
const SECONDS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Buckets for counts from 1 to 256.
const ITEMS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Metrics {
    /// An empty registry, with the process's own figures (memory, CPU, descriptors).
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self::default();
        metrics.register(prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }

    /// A counter.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.made(IntCounter::new(name, help))
    }

    /// Counters by label.
    #[must_use]
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.made(IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A gauge.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.made(IntGauge::new(name, help))
    }

    /// Gauges by label.
    #[must_use]
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.made(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A histogram of seconds.
    #[must_use]
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        self.made(Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec())))
    }

    /// Histograms of seconds by label.
    #[must_use]
    pub fn seconds_by(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.made(HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
    }

    /// A histogram of how many.
    #[must_use]
    pub fn items(&self, name: &str, help: &str) -> Histogram {
        self.made(Histogram::with_opts(HistogramOpts::new(name, help).buckets(ITEMS.to_vec())))
    }

    /// Registers what an adapter measures by itself, once.
    ///
    /// # Panics
    /// When one of the names is registered already.
    pub fn adopt(&self, collectors: impl IntoIterator<Item = Box<dyn Collector>>) {
        for collector in collectors {
            Self::registered(self.registry.register(collector));
        }
    }

    /// Everything, in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    #[expect(clippy::panic, reason = "a metric's name and labels are literals: a wrong one is seen by the first test")]
    fn made<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.unwrap_or_else(|error| panic!("a metric is declared wrongly: {error}"));
        self.register(metric.clone());
        metric
    }

    fn register<C: Collector + 'static>(&self, metric: C) {
        Self::registered(self.registry.register(Box::new(metric)));
    }

    #[expect(clippy::panic, reason = "registering a name twice is seen by the first test")]
    fn registered(result: prometheus::Result<()>) {
        if let Err(error) = result {
            panic!("a metric is registered twice: {error}");
        }
    }
}
