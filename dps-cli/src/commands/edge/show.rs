//! `dps edge show`: what a configuration says about provisioning; keys only on demand.

use std::io::{self, Write};
use std::path::Path;

use dps_edge::Keys;
use serde_json::Value;

use super::Config;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

pub(super) fn run(file: &Path, show_keys: bool, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    let provisioning = config.provisioning(config.reading())?;
    let view = provisioning.to_json(if show_keys { Keys::Shown } else { Keys::Hidden });
    output.result(&view, |out| write(out, "", &view))?;
    Ok(Exit::Done)
}

/// One line a value, named by its path.
fn write(out: &mut dyn Write, path: &str, value: &Value) -> io::Result<()> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            write(out, &path, value)
        }),
        Value::String(text) => writeln!(out, "{path:<36} {text}"),
        other => writeln!(out, "{path:<36} {other}"),
    }
}
