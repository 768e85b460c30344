//! `dps edge lint`: what is wrong in a configuration, a line each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dps_edge::{EdgeVersion, Finding, Severity, changes, configuration_in, read, read_newest, stray_files};
use serde::Serialize;

use super::Config;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linted<'a> {
    file: &'a Path,
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    edge_version: String,
    findings: Vec<Shown<'a>>,
}

/// A finding, as it is printed in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    file: &'a Path,
    line: usize,
    column: usize,
    severity: &'static str,
    id: &'static str,
    key: Option<&'static str>,
    message: String,
}

/// A finding, and the file that it was made in.
pub(super) type InFile = (PathBuf, Finding);

pub(super) fn run(
    path: &Path,
    from: Option<EdgeVersion>,
    edge_version: Option<EdgeVersion>,
    output: Output,
) -> Result<Exit> {
    let failed = |error: &io::Error| Failure::file("read", path, error);
    let (file, stray) = match path.is_dir() {
        true => (
            configuration_in(path).map_err(|error| failed(&error))?,
            stray_files(path).map_err(|error| failed(&error))?,
        ),
        false => (path.to_owned(), Vec::new()),
    };
    let config = Config::load(&file)?;
    let version = config.version(edge_version);
    let mut findings = in_file(&file, findings(&config, from, edge_version)?);
    findings.extend(stray.into_iter().map(|stray| (stray, Finding::stray_file())));
    let linted = Linted {
        file: &file,
        form: config.format.file_name(),
        from: from.map(|from| from.to_string()),
        edge_version: version.to_string(),
        findings: shown(&findings),
    };
    output.result(&linted, |out| write(out, &findings))?;
    Ok(exit(&findings))
}

fn findings(config: &Config, from: Option<EdgeVersion>, edge_version: Option<EdgeVersion>) -> Result<Vec<Finding>> {
    let Some(from) = from else {
        let mut reading = match edge_version {
            Some(version) => read(&config.text, config.format, version),
            None => read_newest(&config.text, config.format),
        };
        reading.look_at_files(SystemTime::now());
        return Ok(reading.findings);
    };
    let version = config.version(edge_version);
    for version in [from, version] {
        if version.format() != config.format {
            let reads = version.format().file_name();
            return Err(Failure::usage(format!(
                "IoT Edge {version} reads {reads}, not this file: see dps edge convert"
            )));
        }
    }
    Ok(changes(&config.text, config.format, from, version))
}

pub(super) fn in_file(file: &Path, findings: Vec<Finding>) -> Vec<InFile> {
    findings.into_iter().map(|finding| (file.to_owned(), finding)).collect()
}

pub(super) fn shown(findings: &[InFile]) -> Vec<Shown<'_>> {
    findings.iter().map(|(file, finding)| Shown::of(file, finding)).collect()
}

impl<'a> Shown<'a> {
    fn of(file: &'a Path, finding: &Finding) -> Self {
        Self {
            file,
            line: finding.place.line,
            column: finding.place.column,
            severity: finding.severity().name(),
            id: finding.id(),
            key: finding.key,
            message: finding.message(),
        }
    }
}

/// `file:line:column: severity[id]: text`, as compilers write it.
pub(super) fn write(out: &mut dyn Write, findings: &[InFile]) -> io::Result<()> {
    findings.iter().try_for_each(|(file, finding)| writeln!(out, "{}:{finding}", file.display()))
}

/// Notes are no findings.
pub(super) fn exit(findings: &[InFile]) -> Exit {
    let counts = findings.iter().any(|(_, finding)| finding.severity() > Severity::Note);
    if counts { Exit::Findings } else { Exit::Done }
}
