//! `dps edge`: reads the configuration of a gateway and hands it to one command.
//!
//! No line of a configuration is ever printed: it may hold a key.

mod convert;
mod lint;
mod provision;
mod set;
mod show;
mod windows;

use std::io;
use std::path::{Path, PathBuf};

use dps_core::ErrorCode;
use dps_edge::{EdgeVersion, Format, Provisioning, Reading, Severity, read};
use zeroize::Zeroizing;

use super::{blocking, blocking_within};
use crate::args::EdgeCommand;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// No configuration is longer, in bytes.
const MOST: u64 = 1024 * 1024;

/// Runs the command.
pub(crate) async fn run(command: EdgeCommand, output: Output) -> Result<Exit> {
    match command {
        EdgeCommand::Provision(args) => provision::run(args, output).await,
        other => blocking(move || run_on_files(other, output)).await,
    }
}

fn run_on_files(command: EdgeCommand, output: Output) -> Result<Exit> {
    match command {
        EdgeCommand::Lint { file, from, edge_version } => lint::run(&file, from, edge_version, output),
        EdgeCommand::Show { file, show_keys } => show::run(&file, show_keys, output),
        EdgeCommand::Convert { file, out, force } => convert::run(&file, &out, force, output),
        EdgeCommand::Set { file, key, value, value_file, edge_version } => {
            set::run(&set::Change { file, key, value, value_file, edge_version }, output)
        }
        EdgeCommand::Windows { file, key_file } => windows::run(&file, &key_file, output),
        EdgeCommand::Provision(_) => Err(Failure::internal("provisioning runs elsewhere")),
    }
}

/// A configuration, as text.
struct Config {
    path: PathBuf,
    text: Zeroizing<String>,
    format: Format,
}

impl Config {
    fn load(path: &Path) -> Result<Self> {
        let wrong = |what: &str| Failure::option(format!("{}: {what}", path.display()));
        let bytes = dps_files::read(path, MOST).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => wrong("it has more than 1 MiB; that is no configuration of IoT Edge"),
            _ => Failure::file("read", path, &error),
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is no text in UTF-8"))?;
        Ok(Self { path: path.to_owned(), format: Format::detect(path, text), text: Zeroizing::new(text.to_owned()) })
    }

    fn version(&self, given: Option<EdgeVersion>) -> EdgeVersion {
        given.unwrap_or(self.format.newest_version())
    }

    fn reading(&self) -> Reading {
        read(&self.text, self.format, self.version(None))
    }

    /// The model, or the first reason why there is none.
    fn provisioning(&self, reading: Reading) -> Result<Provisioning> {
        let first = reading.findings.iter().find(|finding| finding.severity() == Severity::Error).copied();
        reading.provisioning.ok_or_else(|| {
            let path = self.path.display();
            let why = first.map_or_else(String::new, |finding| format!("{path}:{finding}; "));
            let message = format!("{why}the provisioning part cannot be used: dps edge lint {path} shows everything");
            Failure::new(ErrorCode::InvalidOption, message)
        })
    }
}
