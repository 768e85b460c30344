//! `dps edge convert`: a config.toml from a config.yaml, into a private file.

use std::path::Path;

use dps_edge::Format;
use serde::Serialize;

use super::{Config, lint};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::private_file::{self, WhenThere};

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    out: &'a Path,
    findings: Vec<lint::Shown<'a>>,
}

pub(super) fn run(file: &Path, out: &Path, force: bool, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    if config.format == Format::Toml {
        return Err(Failure::option(format!(
            "{} is a config.toml already; a config.yaml is converted",
            file.display()
        )));
    }
    let converted = dps_edge::convert(&config.text).map_err(|error| {
        let place = if error.finding().is_some() { format!("{}:", file.display()) } else { String::new() };
        Failure::option(format!("{place}{error}"))
    })?;
    let when_there = if force { WhenThere::Replace } else { WhenThere::Refuse };
    private_file::write(out, converted.text.expose().as_bytes(), when_there)?;
    let findings = lint::in_file(file, converted.findings);
    let written = Written { file, out, findings: lint::shown(&findings) };
    output.result(&written, |to| {
        lint::write(to, &findings)?;
        writeln!(to, "written: {}", out.display())
    })?;
    Ok(lint::exit(&findings))
}
