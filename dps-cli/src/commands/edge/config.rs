//! The configuration of a gateway, read from its file; `dps edge show`, `set` and `windows`, which show or change it.
//!
//! No line of a configuration is ever printed: it may contain a key.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use dps_core::ErrorCode;
use dps_edge::{EdgeVersion, Format, Keys, Provisioning, Reading, Severity, is_secret, read};
use dps_files::{Ownership, PrivateFile, SecretString};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure, Result};
use crate::files::{is_stdin, read_secret};
use crate::output::{Output, write_lines};

/// The longest accepted configuration, in bytes.
const CONFIG_MAX: u64 = 1024 * 1024;

/// A configuration and its format.
pub(super) struct Config {
    path: PathBuf,
    pub(super) text: Zeroizing<String>,
    pub(super) format: Format,
}

impl Config {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let invalid = |what: &str| Failure::option(format!("{}: {what}", path.display()));
        let bytes = dps_files::read(path, CONFIG_MAX).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => invalid("it is longer than 1 MiB and cannot be a configuration of IoT Edge"),
            _ => Failure::file("read", path, &error),
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("it is not valid UTF-8"))?;
        Ok(Self { path: path.to_owned(), format: Format::detect(path, text), text: Zeroizing::new(text.to_owned()) })
    }

    pub(super) fn version(&self, given: Option<EdgeVersion>) -> EdgeVersion {
        given.unwrap_or(self.format.newest_version())
    }

    pub(super) fn reading(&self) -> Reading {
        read(&self.text, self.format, self.version(None))
    }

    /// Returns the provisioning part, or a failure with the first error in it.
    pub(super) fn provisioning(&self, reading: Reading) -> Result<Provisioning> {
        let first = reading.findings.iter().find(|finding| finding.severity() == Severity::Error).copied();
        reading.provisioning.ok_or_else(|| {
            let path = self.path.display();
            let why = first.map_or_else(String::new, |finding| format!("{path}:{finding}; "));
            let message = format!("{why}the provisioning part is not valid: dps edge lint {path} lists all errors");
            Failure::new(ErrorCode::InvalidOption, message)
        })
    }
}

/// `dps edge show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The configuration
    file: PathBuf,
    /// Show keys, PINs and passwords too
    #[arg(long)]
    show_keys: bool,
}

/// Runs `dps edge show`: prints the provisioning part of a configuration; keys only on demand.
pub(super) fn show(ShowArgs { file, show_keys }: &ShowArgs, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    let provisioning = config.provisioning(config.reading())?;
    let view = provisioning.to_json(if *show_keys { Keys::Shown } else { Keys::Hidden });
    output.result(&view, |out| write(out, "", &view))?;
    Ok(Exit::Done)
}

/// Writes one line per value, with its path.
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

/// `dps edge set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The configuration
    file: PathBuf,
    /// The value's path, such as provisioning.id_scope
    key: String,
    /// The new value, or - for stdin; a key is not accepted on the command line
    #[arg(required_unless_present = "value_file")]
    value: Option<String>,
    /// A file with the new value
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    value_file: Option<PathBuf>,
    /// The version of IoT Edge that reads the file
    #[arg(long, value_name = "V")]
    edge_version: Option<EdgeVersion>,
}

impl SetArgs {
    pub(super) fn reads_stdin(&self) -> bool {
        self.value.as_deref() == Some("-") || self.value_file.as_deref().is_some_and(is_stdin)
    }
}

#[derive(Serialize)]
struct Changed<'a> {
    file: &'a Path,
    key: &'a str,
    changed: bool,
}

/// Runs `dps edge set`: changes one value in place and keeps owner and mode of the file. A key is read from a file or
/// stdin.
pub(super) fn set(change: &SetArgs, output: Output) -> Result<Exit> {
    let SetArgs { file, key, .. } = change;
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

fn value(change: &SetArgs) -> Result<SecretString> {
    match (change.value.as_deref(), change.value_file.as_deref()) {
        (_, Some(path)) => read_secret(path, "the new value"),
        (Some("-"), None) => read_secret(Path::new("-"), "the new value"),
        (Some(value), None) if is_secret(&change.key, value) => Err(Failure::usage(
            "this value is a secret, and other users of this machine can see the command line: use --value-file FILE, \
             or - for stdin",
        )),
        (Some(value), None) => Ok(value.into()),
        (None, None) => Err(Failure::usage("the new value is missing: write it, or use --value-file FILE")),
    }
}

/// `dps edge windows`.
#[derive(Debug, Args)]
pub(crate) struct WindowsArgs {
    /// The configuration
    file: PathBuf,
    /// Where the key will be on the Windows machine
    #[arg(long, value_name = "PATH", default_value = "device.key")]
    key_file: String,
}

#[derive(Serialize)]
struct Commands {
    powershell: String,
}

/// Runs `dps edge windows`: prints the same provisioning as PowerShell commands, without the key.
pub(super) fn windows(WindowsArgs { file, key_file }: &WindowsArgs, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    let provisioning = config.provisioning(config.reading())?;
    let powershell = dps_edge::windows_commands(&provisioning, key_file)
        .map_err(|error| Failure::option(format!("{}: {error}", file.display())))?;
    let commands = Commands { powershell };
    output.result(&commands, |out| write_lines(out, &commands.powershell))?;
    Ok(Exit::Done)
}
