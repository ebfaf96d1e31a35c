//! Logs: one line an event, to standard error.
//!
//! The libraries that speak to WhatsApp name people in their lines. They log through the `log` crate, which is connected
//! to nothing here, and their `tracing` targets are refused whatever the filter says: no setting turns them on.

use serde::Deserialize;
use std::io::IsTerminal;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::filter_fn,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
};

/// Targets that begin like this are never logged: they name people, or show what passes through them.
const NEVER: &[&str] = &["whatsapp_rust", "wacore", "waproto", "hyper_util", "async_nats::connection"];

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is malformed.
    #[error("`{0}` is no list of target=level pairs")]
    Filter(String),
    /// Something else already takes this process's logs.
    #[error("logs were started twice")]
    Twice,
}

/// Whether a filter can be read.
///
/// # Errors
/// [`Error::Filter`].
pub fn check_filter(filter: &str) -> Result<(), Error> {
    parse(filter).map(|_| ())
}

/// Starts the logs of this process, and makes panics one of its lines: where it happened, never with which words, because
/// those may hold what somebody wrote.
///
/// # Errors
/// [`Error`]; nothing is started then.
pub fn start(filter: &str, format: Format) -> Result<(), Error> {
    let json = match format {
        Format::Json => true,
        Format::Pretty => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    let subscriber = subscriber(parse(filter)?, json, std::io::stderr);
    // Not `init()`: that would connect the `log` crate as well.
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(target: "warren::panic", place, thread = thread.name().unwrap_or_default(), "panicked");
    }));
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|_| Error::Filter(filter.to_owned()))
}

fn subscriber<W>(filter: EnvFilter, json: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
        Box::new(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer))
    } else {
        Box::new(fmt::layer().compact().with_ansi(std::io::stderr().is_terminal()).with_writer(writer))
    };
    Box::new(tracing_subscriber::registry().with(lines.with_filter(filter_fn(may_be_logged)).with_filter(filter)))
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    !NEVER.iter().any(|target| metadata.target().starts_with(target))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, json: bool, act: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(parse(filter).unwrap(), json, move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_json_object_a_line() {
        let lines = logged("warn,warren=info", true, || {
            let span = tracing::info_span!(target: "warren_gateway", "request", request_id = "r1");
            let _entered = span.enter();
            tracing::info!(target: "warren_gateway::server", count = 3, "two\nlines");
            tracing::info!(target: "hyper", "not asked for");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["level"], &line["message"], &line["count"]), (&"INFO".into(), &"two\nlines".into(), &3.into()));
        assert_eq!(line["span"]["request_id"], "r1");
    }

    #[test]
    fn the_libraries_are_never_logged() {
        let lines = logged("trace", false, || {
            tracing::error!(target: "whatsapp_rust::client", "628111@s.whatsapp.net");
            tracing::error!(target: "wacore_libsignal::session", "628111@s.whatsapp.net");
            tracing::trace!(target: "async_nats::connection", "628111@s.whatsapp.net");
            tracing::error!(target: "warren_worker", "seen");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("seen"));
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        assert!(check_filter("warn,warren=info").is_ok());
        assert!(check_filter("warren=loud").is_err());
    }
}
