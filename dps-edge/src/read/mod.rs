//! From text to the model, with all findings; and what another version of IoT Edge makes of the same file.
//!
//! Does no I/O. What the daemons would refuse, but can still be understood, is an error and also in the model.

mod attestation;
mod daemons;
mod provisioning;
mod section;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::FileRole;
use crate::finding::{Finding, Position, Positions};
use crate::model::Provisioning;
use crate::problem::{Problem, Severity};
use crate::toml_repair::is_repaired;
use crate::tree::{Entries, Value, find, names_by_offset};
use crate::version::{EdgeVersion, Format};
use crate::{schema, toml_syntax, toml_tree, yaml_tree};

/// The content of a file, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reading {
    /// The provisioning part, as far as it could be read.
    pub provisioning: Option<Provisioning>,
    /// The findings, in the order of the file.
    pub findings: Vec<Finding>,
    key_file: Option<PathBuf>,
    files: Vec<NamedFile>,
}

/// A file that the configuration names.
#[derive(Debug)]
struct NamedFile {
    role: FileRole,
    path: PathBuf,
    position: Position,
    key: Option<&'static str>,
}

/// Reads a configuration as IoT Edge of this version does.
///
/// ```
/// use dps_edge::{EdgeVersion, Format, read};
///
/// let text = "[provisioning]\nsource = \"dps\"\nscope_id = \"0ne00A1B2C3\"\n";
/// let reading = read(text, Format::Toml, EdgeVersion::V1_6);
/// let found: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
/// assert!(found.iter().any(|line| line.starts_with("3:1: warning[other-generation]: ")), "{found:?}");
/// ```
#[must_use]
pub fn read(text: &str, format: Format, version: EdgeVersion) -> Reading {
    let (entries, broken) = parse(text, format);
    let mut reader = Reader { text, format, version, found: broken, key_file: None, files: Vec::new() };
    if version.format() != format {
        reader.report(0, Problem::OtherFormat(version));
        reader.version = format.newest_version();
    }
    let is_broken = reader.found.iter().any(|(_, problem)| problem.severity() == Severity::Error);
    if let Some(since) = reader.version.out_of_service() {
        reader.report(0, Problem::OutOfService { version: reader.version, since });
    }
    if is_broken && Format::looks_like(text) != format {
        // Otherwise each line would be an error.
        reader.found = vec![(0, Problem::LooksLike(Format::looks_like(text)))];
        return reader.finish(&entries, None);
    }
    if format == Format::Toml && is_generated(&entries) {
        reader.found = vec![(0, Problem::Generated)];
        return reader.finish(&entries, None);
    }
    if format == Format::Toml && !reader.version.reads_toml_1_1() {
        reader.found.extend(toml_syntax::uses_of_1_1(text));
    }
    reader.found.extend(schema::check(&entries, format, reader.version));
    if format == Format::Yaml {
        reader.found.extend(yaml_tree::check_layout(text, &entries, is_broken));
    }
    let (mut effective, _) = parse(text, format);
    schema::forget_younger(&mut effective, format, reader.version);
    let provisioning = reader.provisioning(&effective);
    reader.finish(&entries, provisioning)
}

/// Reads a configuration as the newest version of its format does, for a gateway whose version is unknown: what the
/// version before that one refuses is a warning that names it.
///
/// ```
/// use dps_edge::{Format, read_newest};
///
/// let text = "[provisioning]\nsource = \"manual\"\nconnection_string = \"HostName=a\\x2etest\"\n";
/// let reading = read_newest(text, Format::Toml);
/// let found: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
/// assert!(found.iter().any(|line| line.contains("warning[refused-before]: IoT Edge 1.5 and older")), "{found:?}");
/// ```
#[must_use]
pub fn read_newest(text: &str, format: Format) -> Reading {
    let newest = format.newest_version();
    let mut reading = read(text, format, newest);
    let before = EdgeVersion::ALL.into_iter().rev().find(|version| *version < newest && version.format() == format);
    let Some(version) = before else { return reading };
    let errors = |reading: Reading| reading.findings.into_iter().filter(|found| found.severity() == Severity::Error);
    for finding in errors(read(text, format, version)) {
        let same = |known: &Finding| known.position == finding.position && known.id() == finding.id();
        if !reading.findings.iter().any(same) {
            let what = match finding.problem {
                Problem::Syntax(what) | Problem::OfToml1_1(what) => what,
                _ => finding.id(),
            };
            reading.findings.push(Finding { problem: Problem::RefusedBefore { version, what }, ..finding });
        }
    }
    reading.findings.sort_by_key(|finding| finding.position);
    reading
}

/// Parses the text to a tree, as far as possible.
pub(crate) fn parse(text: &str, format: Format) -> (Entries, Vec<(usize, Problem)>) {
    match format {
        Format::Yaml => yaml_tree::parse(text),
        Format::Toml => toml_tree::parse(text),
    }
}

impl Reading {
    /// Whether the daemons would refuse the file, or it cannot work.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity() == Severity::Error)
    }

    /// Checks the files with keys and certificates that the configuration names: whether they can be read, who else can
    /// read a key, whether a symmetric key is raw bytes, and whether a certificate is valid at `now`.
    pub fn check_files(&mut self, now: SystemTime) {
        for file in &self.files {
            let problems = crate::files::check(file.role, &file.path, now);
            let found = |problem| Finding { position: file.position, key: file.key, problem };
            self.findings.extend(problems.into_iter().map(found));
        }
        self.findings.sort_by_key(|finding| finding.position);
    }

    /// The file that contains the symmetric key, if the configuration names one.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }
}

/// Collects findings while the model is built.
struct Reader<'t> {
    text: &'t str,
    format: Format,
    version: EdgeVersion,
    found: Vec<(usize, Problem)>,
    key_file: Option<(PathBuf, usize)>,
    files: Vec<(FileRole, PathBuf, usize)>,
}

impl Reader<'_> {
    fn report(&mut self, at: usize, problem: Problem) {
        self.found.push((at, problem));
    }

    fn finish(self, entries: &Entries, provisioning: Option<Provisioning>) -> Reading {
        let text = self.text;
        // If a key is repeated, only the last one is among the entries.
        let (positions, names) = (Positions::new(text), names_by_offset(entries));
        let key_at = |at| names.get(&at).copied().or_else(|| word_at(text, at)).and_then(schema::known);
        let finding = |(at, problem): (usize, Problem)| {
            let key = key_at(at).filter(|_| problem.is_about_a_key());
            Finding { position: positions.at(at), key, problem }
        };
        let mut findings: Vec<Finding> = self.found.into_iter().map(finding).collect();
        without_consequences(&mut findings);
        findings.sort_by_key(|finding| finding.position);
        findings.dedup();
        let key_file = self.key_file.as_ref().map(|(path, _)| path.clone());
        let symmetric = self.key_file.map(|(path, at)| (FileRole::SymmetricKey, path, at));
        let file = |(role, path, at)| NamedFile { role, path, position: positions.at(at), key: key_at(at) };
        let files = symmetric.into_iter().chain(self.files).map(file).collect();
        Reading { provisioning, findings, key_file, files }
    }
}

/// The word at this offset.
fn word_at(text: &str, at: usize) -> Option<&str> {
    let rest = text.get(at..)?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    rest.get(..end)
}

/// Removes findings that only follow from another one.
fn without_consequences(findings: &mut Vec<Finding>) {
    let positions = |wanted: fn(&Problem) -> bool| -> Vec<Position> {
        findings.iter().filter(|finding| wanted(&finding.problem)).map(|finding| finding.position).collect()
    };
    let broken = positions(|problem| matches!(problem, Problem::Syntax(_)));
    // What was repaired does not affect other findings.
    let unread = positions(|problem| matches!(problem, Problem::Syntax(_)) && !is_repaired(problem));
    let placeholders = positions(|problem| matches!(problem, Problem::Placeholder));
    let wrong_types = positions(|problem| matches!(problem, Problem::WrongType { .. }));
    findings.retain(|Finding { position, problem, .. }| {
        let on_broken_line = broken.iter().any(|broken| broken.line == position.line);
        match problem {
            Problem::Missing { .. } | Problem::Ignored { .. } => unread.is_empty(),
            Problem::UnknownKey | Problem::Misspelt { .. } => !on_broken_line,
            // A value of a wrong type needs no quotes.
            Problem::Unquoted => !on_broken_line && !wrong_types.contains(position),
            Problem::BadUri { .. } | Problem::RelativeUri => !on_broken_line && !placeholders.contains(position),
            _ => true,
        }
    });
}

/// Everything in a configuration that two versions of one generation treat differently: what `to` reports and `from`
/// does not, and what `from` ignores or refuses and `to` reads.
///
/// ```
/// use dps_edge::{EdgeVersion, Format, changes};
///
/// let text = "local_gateway_hostname = \"parent.example\"\n[provisioning]\nsource = \"none\"\n";
/// let changes = changes(text, Format::Toml, EdgeVersion::new(4, 10), EdgeVersion::V1_6);
/// assert_eq!(changes.len(), 1);
/// assert_eq!((changes[0].id(), changes[0].key), ("now-read", Some("local_gateway_hostname")));
/// ```
#[must_use]
pub fn changes(text: &str, format: Format, from: EdgeVersion, to: EdgeVersion) -> Vec<Finding> {
    let (before, after) = (read(text, format, from).findings, read(text, format, to).findings);
    let is_in = |findings: &[Finding], wanted: &Finding| findings.iter().any(|finding| is_same(finding, wanted));
    let gone = before.iter().filter(|finding| !is_in(&after, finding)).filter_map(|finding| no_longer(finding, from));
    let new = after.iter().filter(|finding| !is_in(&before, finding)).copied();
    let about_the_file = |finding: &Finding| !matches!(finding.problem, Problem::OutOfService { .. });
    let mut changes: Vec<Finding> = gone.chain(new).filter(about_the_file).collect();
    changes.sort_by_key(|finding| finding.position);
    changes
}

/// The messages may differ: they can name the version.
fn is_same(one: &Finding, other: &Finding) -> bool {
    (one.position, one.key, one.id()) == (other.position, other.key, other.id())
}

/// What it means that a finding is no longer reported.
fn no_longer(finding: &Finding, from: EdgeVersion) -> Option<Finding> {
    let problem = match finding.problem {
        Problem::TooNew { since } => Problem::NowRead { since },
        _ if finding.severity() == Severity::Error => Problem::NowAccepted { from },
        _ => return None,
    };
    Some(Finding { problem, ..*finding })
}

/// The name that `iotedge config apply` uses for the device's key and certificate.
const DEVICE_ID: &str = "device-id";

/// Whether this is a file that `iotedge config apply` generated for a daemon, and not a `config.toml`.
///
/// The identity daemon's file has the device's key and certificate only by name, and the id scope as `scope_id`; the
/// others have no provisioning; and all have other keys at the top level. One of these may be a mistake in a
/// `config.toml`, two are not.
fn is_generated(root: &Entries) -> bool {
    let provisioning = table(root, "provisioning");
    let by_name = ["attestation", "authentication"].into_iter().any(|name| {
        let credential = provisioning.and_then(|provisioning| table(provisioning, name));
        credential.is_some_and(|entries| entries.iter().any(|entry| entry.node.value.as_text() == Some(DEVICE_ID)))
    });
    let scope = provisioning.is_some_and(|entries| find(entries, "scope_id").is_some());
    let own = ["homedir", "homedir_path", "principal"].into_iter().filter(|name| find(root, name).is_some()).count();
    let home_of_keys = table(root, "aziot_keys").is_some_and(|entries| find(entries, "homedir_path").is_some());
    let signs = [by_name, scope, provisioning.is_none(), home_of_keys].into_iter().filter(|sign| *sign).count();
    signs + own >= 2
}

fn table<'e>(entries: &'e Entries, name: &str) -> Option<&'e Entries> {
    match &find(entries, name)?.node.value {
        Value::Table(table) => Some(&table.entries),
        _ => None,
    }
}
