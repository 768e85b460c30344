//! `dps edge lint`: reports the mistakes in a configuration; and `dps edge convert`, which reports in the same way.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use dps_edge::{EdgeVersion, Finding, Format, Severity, changes, configuration_in, read, read_newest, stray_files};
use serde::Serialize;

use super::config::Config;
use crate::failure::{Exit, Failure, Result};
use crate::files::{WhenThere, write_private};
use crate::output::Output;

/// `dps edge lint`.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The configuration, or its directory, such as /etc/aziot
    file: PathBuf,
    /// List only what changes between this version and --edge-version, for an upgrade
    #[arg(long, value_name = "V")]
    from: Option<EdgeVersion>,
    /// The version of IoT Edge that reads it: 1.1 to 1.6, such as 1.4 or 1.4.20. Default: the newest that reads this
    /// format
    #[arg(long, value_name = "V")]
    edge_version: Option<EdgeVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linted<'a> {
    file: &'a Path,
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    edge_version: String,
    findings: Vec<FindingJson<'a>>,
}

/// A finding in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingJson<'a> {
    file: &'a Path,
    line: usize,
    column: usize,
    severity: &'static str,
    id: &'static str,
    key: Option<&'static str>,
    message: String,
}

/// A finding and its file.
type InFile = (PathBuf, Finding);

/// Runs `dps edge lint`.
pub(super) fn lint(LintArgs { file: path, from, edge_version }: &LintArgs, output: Output) -> Result<Exit> {
    let failed = |error: &io::Error| Failure::file("read", path, error);
    let (file, stray) = match path.is_dir() {
        true => (
            configuration_in(path).map_err(|error| failed(&error))?,
            stray_files(path).map_err(|error| failed(&error))?,
        ),
        false => (path.to_owned(), Vec::new()),
    };
    let config = Config::load(&file)?;
    let version = config.version(*edge_version);
    let mut findings = in_file(&file, findings(&config, *from, *edge_version)?);
    findings.extend(stray.into_iter().map(|stray| (stray, Finding::stray_file())));
    let linted = Linted {
        file: &file,
        form: config.format.file_name(),
        from: from.map(|from| from.to_string()),
        edge_version: version.to_string(),
        findings: to_json(&findings),
    };
    output.result(&linted, |out| write(out, &findings))?;
    Ok(exit_code(&findings))
}

fn findings(config: &Config, from: Option<EdgeVersion>, edge_version: Option<EdgeVersion>) -> Result<Vec<Finding>> {
    let Some(from) = from else {
        let mut reading = match edge_version {
            Some(version) => read(&config.text, config.format, version),
            None => read_newest(&config.text, config.format),
        };
        reading.check_files(SystemTime::now());
        return Ok(reading.findings);
    };
    let version = config.version(edge_version);
    for version in [from, version] {
        if version.format() != config.format {
            let reads = version.format().file_name();
            return Err(Failure::usage(format!(
                "IoT Edge {version} reads {reads} and not this file: see dps edge convert"
            )));
        }
    }
    Ok(changes(&config.text, config.format, from, version))
}

fn in_file(file: &Path, findings: Vec<Finding>) -> Vec<InFile> {
    findings.into_iter().map(|finding| (file.to_owned(), finding)).collect()
}

fn to_json(findings: &[InFile]) -> Vec<FindingJson<'_>> {
    findings.iter().map(|(file, finding)| FindingJson::new(file, finding)).collect()
}

impl<'a> FindingJson<'a> {
    fn new(file: &'a Path, finding: &Finding) -> Self {
        Self {
            file,
            line: finding.position.line,
            column: finding.position.column,
            severity: finding.severity().name(),
            id: finding.id(),
            key: finding.key,
            message: finding.message(),
        }
    }
}

/// Writes `file:line:column: severity[id]: text`, like compilers.
fn write(out: &mut dyn Write, findings: &[InFile]) -> io::Result<()> {
    findings.iter().try_for_each(|(file, finding)| writeln!(out, "{}:{finding}", file.display()))
}

/// Returns the exit code; notes are not findings.
fn exit_code(findings: &[InFile]) -> Exit {
    let counts = findings.iter().any(|(_, finding)| finding.severity() > Severity::Note);
    if counts { Exit::Findings } else { Exit::Done }
}

/// `dps edge convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The config.yaml
    file: PathBuf,
    /// The config.toml to write; only its owner can read it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    out: &'a Path,
    findings: Vec<FindingJson<'a>>,
}

/// Runs `dps edge convert`: writes a config.toml from a config.yaml into a private file.
pub(super) fn convert(ConvertArgs { file, out, force }: &ConvertArgs, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    if config.format == Format::Toml {
        return Err(Failure::option(format!(
            "{} is already a config.toml; only a config.yaml is converted",
            file.display()
        )));
    }
    let converted = dps_edge::convert(&config.text).map_err(|error| {
        let place = if error.finding().is_some() { format!("{}:", file.display()) } else { String::new() };
        Failure::option(format!("{place}{error}"))
    })?;
    let when_there = if *force { WhenThere::Replace } else { WhenThere::Refuse };
    write_private(out, converted.text.expose().as_bytes(), when_there)?;
    let findings = in_file(file, converted.findings);
    let written = Written { file, out, findings: to_json(&findings) };
    output.result(&written, |to| {
        write(to, &findings)?;
        writeln!(to, "written: {}", out.display())
    })?;
    Ok(exit_code(&findings))
}
