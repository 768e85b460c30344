//! Logs on stderr: our own targets as loud as asked for, everybody else's capped.
//!
//! Third-party crates may print whole frames at debug and trace, tokens included: they are never let through above
//! `warn`, whatever is asked for.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::{Failure, Result};
use crate::output::stderr;

/// Starts logging: `verbose` counts the `-v`; otherwise the environment variable `DPS_LOG` says.
pub(crate) fn start(verbose: u8) -> Result<()> {
    let wanted = match (verbose, std::env::var("DPS_LOG")) {
        (0, Ok(text)) if !text.is_empty() => text
            .parse::<Targets>()
            .map_err(|error| Failure::option(format!("DPS_LOG cannot be used: {error}; give a level such as debug")))?,
        _ => Targets::new().with_default(level(verbose)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(false)
        .without_time()
        .with_filter(wanted.and(filter_fn(is_ours_or_quiet)));
    // A second start in one process changes nothing.
    _ = tracing_subscriber::registry().with(lines).try_init();
    Ok(())
}

fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn is_ours_or_quiet(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or("");
    crate_name == "dps" || crate_name.starts_with("dps_") || *metadata.level() <= Level::WARN
}
