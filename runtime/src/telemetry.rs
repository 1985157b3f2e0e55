//! Logs: JSON lines on standard output, filtered by one string in the syntax of `tracing_subscriber::EnvFilter`.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Replaces the filter.
    ///
    /// # Errors
    /// The filter does not parse; the old one stays.
    pub fn set(&self, filter: &str) -> anyhow::Result<()> {
        self.0.reload(parse(filter)?)?;
        Ok(())
    }
}

/// Starts logging for the whole process. `filter` is an `EnvFilter` directive list, e.g. `info` or `info,kube=debug`.
///
/// Lines are JSON, one object each, UTC timestamps; a terminal gets plain text instead, because a person reads it.
///
/// # Errors
/// The filter does not parse, or logging was started before.
pub fn init(filter: &str) -> anyhow::Result<LogFilter> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    if std::io::stdout().is_terminal() {
        registry.with(tracing_subscriber::fmt::layer()).try_init()?;
    } else {
        let json =
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(json).try_init()?;
    }
    Ok(LogFilter(handle))
}

fn parse(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("log filter {filter:?}: {error}; use a level (info) or target=level pairs (info,kube=debug)")
    })
}
