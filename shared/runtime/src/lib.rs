//! What every role of Warren runs in: configuration, logs, metrics, health, lifecycle, fault points.

pub mod admin;
pub mod config;
pub mod fault;
pub mod health;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod signals;

pub use admin::Admin;
pub use config::Config;
pub use health::Health;
pub use lifecycle::Lifecycle;
pub use metrics::Metrics;
