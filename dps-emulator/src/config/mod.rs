//! An emulator from a file: its options, hubs, CA certificates, enrollments and faults, in TOML. Every mistake is reported
//! with its line and column.

mod enrollments;
mod files;
mod node;
mod options;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::contents::{Contents, NamedCertificate};
use crate::control::PLANNED_MAX;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::fault_plan::FaultPlan;
use crate::server::EmulatorOptions;
use crate::service::Service;
use crate::time::Now;
use crate::wire::Problem;
use files::Files;
use node::{Mistake, Section};

pub use write::{ExportError, ExportedConfig, KeyFile};

/// The largest configuration, in bytes.
const CONFIG_MAX: u64 = 16 * 1024 * 1024;

const HUBS: &str = "hubs";
const CERTIFICATES: &str = "certificates";
const ENROLLMENTS: &str = "enrollments";
const GROUPS: &str = "enrollmentGroups";
const FAULTS: &str = "faults";

/// Why a configuration cannot be used. No message contains a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is invalid.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1 in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

impl EmulatorOptions {
    /// Reads the options from a configuration file (TOML, as `docs/emulator-config.md` describes it), including hubs, CA
    /// certificates, enrollments, groups and faults that the emulator starts with. Files that it names are relative to its
    /// directory. Options that are set on the result replace those of the file.
    ///
    /// Like the program, it listens for MQTT and MQTT over WebSocket too, and serves the page, unless the file disables them.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of the first mistake.
    ///
    /// ```no_run
    /// use dps_emulator::EmulatorOptions;
    ///
    /// let options = EmulatorOptions::from_config_file("emulator.toml")?.https_port(8443);
    /// # Ok::<(), dps_emulator::ConfigError>(())
    /// ```
    pub fn from_config_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let bytes = dps_files::read(path, CONFIG_MAX).map_err(failed)?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::from_config(text, directory).map_err(|(line, column, message)| ConfigError::Invalid {
            path: path.to_owned(),
            line,
            column,
            message,
        })
    }

    /// Reads the content of a file in this directory. The error is line, column and message.
    fn from_config(text: &str, directory: &Path) -> Result<Self, (usize, usize, String)> {
        let text = text.trim_start_matches('\u{feff}');
        let placed = |mistake: Mistake| {
            let (line, column) = place(text, mistake.at);
            (line, column, mistake.message)
        };
        let document = DeTable::parse(text).map_err(|error| {
            placed(Mistake { at: error.span().map_or(text.len(), |span| span.start), message: error.message().into() })
        })?;
        read(&Section::new(0, document.get_ref()), &Files::new(directory)).map_err(placed)
    }
}

/// Line and column of an offset, counted from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn read(file: &Section<'_>, files: &Files) -> Result<EmulatorOptions, Mistake> {
    let tables = [HUBS, CERTIFICATES, ENROLLMENTS, GROUPS, FAULTS];
    file.check_names(&[options::NAMES, &tables].concat())?;
    let mut options = options::read(file, files, EmulatorOptions::new().mqtt_port(0).wss_port(0).ui_port(0))?;
    options = hubs(file, options)?;
    // What the service would refuse at the start is found here, where its place is known.
    let mut trial = Service::new(options.service.clone()).map_err(|error| match file.get(HUBS) {
        Some(hubs) => hubs.mistake(format!("is invalid: {error}")),
        None => file.mistake(error.to_string()),
    })?;
    options.contents = contents(file, files, &mut trial)?;
    Ok(options)
}

fn hubs(file: &Section<'_>, options: EmulatorOptions) -> Result<EmulatorOptions, Mistake> {
    let Some(hubs) = file.get(HUBS) else { return Ok(options) };
    let mut linked: Vec<(String, u32)> = Vec::new();
    for hub in hubs.sections()? {
        hub.check_names(&["name", "weight"])?;
        let name = hub.required("name")?;
        let weight = hub.get("weight").map_or(Ok(1), |weight| weight.whole(1..=1000))?;
        let host = name.text()?;
        crate::options::check_host(host).map_err(|error| name.mistake(format!("is not valid: {error}")))?;
        if linked.iter().any(|(other, _)| other.eq_ignore_ascii_case(host)) {
            return Err(name.mistake("is the name of an earlier hub too"));
        }
        linked.push((host.to_owned(), weight));
    }
    Ok(options.service(|service| service.hubs(linked)))
}

/// Reads what the service starts with, and puts it into `trial`.
fn contents(file: &Section<'_>, files: &Files, trial: &mut Service) -> Result<Contents, Mistake> {
    let sections = |name| file.get(name).map_or(Ok(Vec::new()), |member| member.sections());
    let now = Now::default();
    let mut contents = Contents::default();
    for section in sections(CERTIFICATES)? {
        let named = certificate(&section, files)?;
        if trial.ca_certificates().any(|earlier| earlier.name == named.name) {
            return Err(twice(&section, "name"));
        }
        named.clone().put_into(trial, now).map_err(|problem| refused(&section, problem))?;
        contents.certificates.push(named);
    }
    for section in sections(ENROLLMENTS)? {
        let enrollment: IndividualEnrollment = enrollments::read(&section, enrollments::INDIVIDUAL, files)?;
        if trial.enrollment(&enrollment.registration_id).is_some() {
            return Err(twice(&section, "registrationId"));
        }
        trial.put_enrollment(now, enrollment.clone()).map_err(|problem| refused(&section, problem))?;
        contents.enrollments.push(enrollment);
    }
    for section in sections(GROUPS)? {
        let group: EnrollmentGroup = enrollments::read(&section, enrollments::GROUP, files)?;
        if trial.group(&group.enrollment_group_id).is_some() {
            return Err(twice(&section, "enrollmentGroupId"));
        }
        trial.put_group(now, group.clone()).map_err(|problem| refused(&section, problem))?;
        contents.groups.push(group);
    }
    for section in sections(FAULTS)? {
        if contents.faults.len() == PLANNED_MAX {
            return Err(section.mistake(format!("at most {PLANNED_MAX} faults can be planned: use 'times'")));
        }
        contents.faults.push(fault(&section)?);
    }
    Ok(contents)
}

/// What the service refuses, at the member that it names.
fn refused(section: &Section<'_>, problem: Problem) -> Mistake {
    let named = section.iter().find(|member| problem.message.contains(&format!("'{}", member.name)));
    named.map_or_else(|| section.mistake(&problem.message), |member| member.about(&problem.message))
}

fn twice(section: &Section<'_>, id: &str) -> Mistake {
    match section.get(id) {
        Some(member) => member.mistake("is in an earlier table too"),
        None => section.mistake(format!("'{id}' is in an earlier table too")),
    }
}

fn certificate(section: &Section<'_>, files: &Files) -> Result<NamedCertificate, Mistake> {
    section.check_names(&["name", "certificate", "certificateFile", "isVerified"])?;
    Ok(NamedCertificate {
        name: section.required("name")?.text()?.to_owned(),
        certificate: enrollments::read_certificate(section, files)?,
        is_verified: section.get("isVerified").map_or(Ok(true), |verified| verified.flag())?,
    })
}

fn fault(section: &Section<'_>) -> Result<FaultPlan, Mistake> {
    let members = section.iter().map(|member| {
        let value = if member.name == "patch" { member.object()?.into() } else { member.json()? };
        Ok((member.name.to_owned(), value))
    });
    let members = members.collect::<Result<serde_json::Map<_, _>, Mistake>>()?;
    FaultPlan::try_from(members).map_err(|error| match section.get(error.member()) {
        Some(member) => member.mistake(error.problem()),
        None => section.mistake(error.to_string()),
    })
}
