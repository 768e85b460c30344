//! `dps edge lint`: what is wrong in a configuration, a line each.

use std::io::{self, Write};
use std::path::Path;

use dps_edge::{EdgeVersion, Finding, Severity, read, read_newest};
use serde::Serialize;

use super::Config;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linted<'a> {
    file: &'a Path,
    form: &'static str,
    edge_version: String,
    findings: Vec<Shown>,
}

/// A finding, as it is printed in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    line: usize,
    column: usize,
    severity: &'static str,
    id: &'static str,
    key: Option<&'static str>,
    message: String,
}

pub(super) fn run(file: &Path, edge_version: Option<EdgeVersion>, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    let version = config.version(edge_version);
    let mut reading = match edge_version {
        Some(version) => read(&config.text, config.format, version),
        None => read_newest(&config.text, config.format),
    };
    reading.look_at_key_file();
    let linted = Linted {
        file,
        form: config.format.file_name(),
        edge_version: version.to_string(),
        findings: shown(&reading.findings),
    };
    output.result(&linted, |out| write(out, file, &reading.findings))?;
    Ok(exit(&reading.findings))
}

pub(super) fn shown(findings: &[Finding]) -> Vec<Shown> {
    let show = |finding: &Finding| Shown {
        line: finding.place.line,
        column: finding.place.column,
        severity: finding.severity().name(),
        id: finding.id(),
        key: finding.key,
        message: finding.message(),
    };
    findings.iter().map(show).collect()
}

/// `file:line:column: severity[id]: text`, as compilers write it.
pub(super) fn write(out: &mut dyn Write, file: &Path, findings: &[Finding]) -> io::Result<()> {
    findings.iter().try_for_each(|finding| writeln!(out, "{}:{finding}", file.display()))
}

/// Notes are no findings.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    let counts = findings.iter().any(|finding| finding.severity() > Severity::Note);
    if counts { Exit::Findings } else { Exit::Done }
}
