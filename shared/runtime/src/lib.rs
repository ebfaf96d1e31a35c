//! What every role of Warren runs in: configuration, logs, metrics, health, lifecycle, fault points, a thread apart.

pub mod admin;
pub mod apart;
pub mod config;
pub mod fault;
pub mod health;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod signals;

pub use admin::Admin;
pub use apart::Apart;
pub use config::Config;
pub use health::Health;
pub use lifecycle::Lifecycle;
pub use metrics::Metrics;
