//! `dps edge set`: one value changed in place, the file's owner and mode kept. A key comes from a file or stdin.

use std::path::{Path, PathBuf};

use dps_edge::{EdgeVersion, is_secret};
use dps_files::{Ownership, PrivateFile, SecretString};
use serde::Serialize;

use super::Config;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::secret;

/// What is to be changed.
pub(super) struct Change {
    pub(super) file: PathBuf,
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) value_file: Option<PathBuf>,
    pub(super) edge_version: Option<EdgeVersion>,
}

#[derive(Serialize)]
struct Changed<'a> {
    file: &'a Path,
    key: &'a str,
    changed: bool,
}

pub(super) fn run(change: &Change, output: Output) -> Result<Exit> {
    let Change { file, key, .. } = change;
    let value = value(change)?;
    let config = Config::load(file)?;
    let version = config.version(change.edge_version);
    let text = dps_edge::set(&config.text, config.format, version, key, value.expose())
        .map_err(|error| Failure::option(format!("{}: {key}: {error}", file.display())))?;
    let changed = text.expose() != config.text.as_str();
    if changed {
        PrivateFile::new(file).replace(text.expose().as_bytes(), Ownership::Kept)?;
    }
    output.result(&Changed { file, key, changed }, |out| {
        let word = if changed { "changed" } else { "unchanged" };
        writeln!(out, "{}: {key} {word}", file.display())
    })?;
    Ok(Exit::Done)
}

fn value(change: &Change) -> Result<SecretString> {
    match (change.value.as_deref(), change.value_file.as_deref()) {
        (_, Some(path)) => secret::read(path, "the new value"),
        (Some("-"), None) => secret::read(Path::new("-"), "the new value"),
        (Some(value), None) if is_secret(&change.key, value) => Err(Failure::usage(
            "this value is a secret, and others on this machine can see a command line: give it as --value-file FILE, \
             or as - on stdin",
        )),
        (Some(value), None) => Ok(value.into()),
        (None, None) => Err(Failure::usage("give the new value, or --value-file FILE")),
    }
}
