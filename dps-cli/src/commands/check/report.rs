//! What the checks found, which of it is the cause, and the report for people: the cause first, then every check with
//! its evidence, then what to do.

use std::collections::BTreeMap;
use std::io::{self, Write};

use dps_core::ErrorCode;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The widths of the columns: the longest outcome and the longest name of a check.
const OUTCOME_WIDTH: usize = 7;
const NAME_WIDTH: usize = 15;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No problem was found.
    Ok,
    /// A problem that does not prevent the device from registering and should be fixed.
    Warning,
    /// A problem that prevents the device from registering.
    Error,
    /// The check could not be made.
    Skipped,
}

/// The checks, in an order in which a failed check explains failures of later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CheckId {
    /// Of a device with a TPM.
    Tpm,
    Key,
    KeyFile,
    /// Of a device with a certificate.
    Certificate,
    RegistrationId,
    IdScope,
    Proxy,
    Dns,
    Tcp,
    Clock,
    Tls,
    Service,
    Throttling,
    Authentication,
    Registration,
    /// With `--rehearse-root`; last, since it is about the future.
    Rehearsal,
}

/// One check: what was checked, the evidence, and what to do.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) id: CheckId,
    pub(crate) outcome: Outcome,
    /// The result in one sentence; for a skipped check, the reason.
    pub(crate) summary: String,
    /// The evidence for people.
    pub(crate) evidence: Vec<String>,
    /// What to do, most likely remedy first.
    pub(crate) advice: Vec<String>,
    /// The evidence for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) facts: Option<Value>,
}

/// All checks that were made.
#[derive(Debug, Default)]
pub(crate) struct Checks(BTreeMap<CheckId, Check>);

/// The result: all checks and the cause.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The first error, or else the first warning.
    pub(crate) cause: Option<CheckId>,
    /// The cause in one sentence.
    pub(crate) headline: String,
    pub(crate) checks: Vec<Check>,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

impl CheckId {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tpm => "tpm",
            Self::Key => "key",
            Self::KeyFile => "key-file",
            Self::Certificate => "certificate",
            Self::RegistrationId => "registration-id",
            Self::IdScope => "id-scope",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Clock => "clock",
            Self::Tls => "tls",
            Self::Service => "service",
            Self::Throttling => "throttling",
            Self::Authentication => "authentication",
            Self::Registration => "registration",
            Self::Rehearsal => "rehearsal",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Check {
    fn new(id: CheckId, outcome: Outcome, summary: impl Into<String>) -> Self {
        Self { id, outcome, summary: summary.into(), evidence: Vec::new(), advice: Vec::new(), facts: None }
    }

    pub(crate) fn ok(id: CheckId, summary: impl Into<String>) -> Self {
        Self::new(id, Outcome::Ok, summary)
    }

    pub(crate) fn warning(id: CheckId, summary: impl Into<String>) -> Self {
        Self::new(id, Outcome::Warning, summary)
    }

    pub(crate) fn error(id: CheckId, summary: impl Into<String>) -> Self {
        Self::new(id, Outcome::Error, summary)
    }

    pub(crate) fn skipped(id: CheckId, why: impl Into<String>) -> Self {
        Self::new(id, Outcome::Skipped, why)
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Adds evidence, unless it is empty.
    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Self {
        let evidence = evidence.into();
        if !evidence.is_empty() {
            self.evidence.push(evidence);
        }
        self
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Adds the catalogue's advice for an error.
    pub(crate) fn advise_for(mut self, code: ErrorCode) -> Self {
        self.advice.extend(code.hints().iter().map(|hint| hint.text().to_owned()));
        self
    }

    pub(crate) fn facts(mut self, facts: Value) -> Self {
        self.facts = Some(facts);
        self
    }
}

impl Checks {
    /// Adds a check.
    pub(crate) fn add(&mut self, check: Check) {
        self.0.insert(check.id, check);
    }

    pub(crate) fn add_all(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.0.extend(checks.into_iter().map(|check| (check.id, check)));
    }

    /// Returns the outcome of a check that was made.
    pub(crate) fn outcome(&self, id: CheckId) -> Option<Outcome> {
        self.0.get(&id).map(|check| check.outcome)
    }

    /// Makes a warning an error, since it explains an error that was found later.
    pub(crate) fn raise(&mut self, id: CheckId) {
        if let Some(check) = self.0.get_mut(&id).filter(|check| check.outcome == Outcome::Warning) {
            check.outcome = Outcome::Error;
        }
    }

    /// Replaces a check with a worse result that was found later. The earlier result is kept as evidence.
    pub(crate) fn worsen(&mut self, worse: Check) {
        let before = self.0.remove(&worse.id);
        let worse = before.into_iter().fold(worse, |mut worse, before| {
            worse.evidence.splice(0..0, std::iter::once(before.summary).chain(before.evidence));
            worse.facts = worse.facts.or(before.facts);
            worse
        });
        self.add(worse);
    }
}

impl Report {
    /// Returns the report. The cause is the first error, since it explains later ones, or else the first warning.
    pub(crate) fn new(checks: Checks) -> Self {
        let checks: Vec<Check> = checks.0.into_values().collect();
        let first = |outcome: Outcome| checks.iter().find(|check| check.outcome == outcome);
        let found = first(Outcome::Error).or_else(|| first(Outcome::Warning));
        let (cause, headline) = match found {
            Some(check) => (Some(check.id), check.summary.clone()),
            None => (None, "no problem was found that prevents the device from registering".to_owned()),
        };
        Self { cause, headline, checks }
    }
}

/// Writes the report for people.
pub(crate) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let heading = if report.cause.is_some() { "cause: " } else { "" };
    writeln!(out, "{heading}{}", report.headline)?;
    writeln!(out)?;
    for check in &report.checks {
        let (outcome, name) = (check.outcome.name(), check.id.name());
        writeln!(out, "{outcome:<OUTCOME_WIDTH$}  {name:<NAME_WIDTH$}  {}", check.summary)?;
        for line in &check.evidence {
            writeln!(out, "{:1$}{line}", "", OUTCOME_WIDTH + NAME_WIDTH + 6)?;
        }
    }
    let to_do = to_do(report);
    if !to_do.is_empty() {
        writeln!(out)?;
        writeln!(out, "what to do:")?;
    }
    for (number, advice) in to_do.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, advice)?;
    }
    Ok(())
}

/// Returns the advice of all checks with problems, without repetition: the cause's, then of errors, then of warnings.
fn to_do(report: &Report) -> Vec<&str> {
    let rank = |check: &Check| match check.outcome {
        _ if Some(check.id) == report.cause => Some(0),
        Outcome::Error => Some(1),
        Outcome::Warning => Some(2),
        Outcome::Ok | Outcome::Skipped => None,
    };
    let mut to_do: Vec<&str> = Vec::new();
    for wanted in 0..=2 {
        for advice in report.checks.iter().filter(|check| rank(check) == Some(wanted)).flat_map(|check| &check.advice) {
            if !to_do.contains(&advice.as_str()) {
                to_do.push(advice);
            }
        }
    }
    to_do
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Printable;

    fn cause(found: &[(CheckId, Outcome)]) -> Option<CheckId> {
        let mut checks = Checks::default();
        checks.add_all(found.iter().map(|(id, outcome)| Check::new(*id, *outcome, id.name())));
        let report = Report::new(checks);
        assert!(report.checks.is_sorted_by_key(|check| check.id), "{report:?}");
        assert!(report.cause.is_none_or(|id| report.headline == id.name()));
        report.cause
    }

    #[test]
    fn cause_is_the_first_error_or_else_the_first_warning() {
        use CheckId::{Authentication, Clock, KeyFile, Registration, Tls};
        use Outcome::{Error, Ok, Skipped, Warning};
        assert_eq!(cause(&[]), None);
        assert_eq!(cause(&[(KeyFile, Ok), (Registration, Skipped)]), None);
        assert_eq!(cause(&[(Tls, Warning), (KeyFile, Warning)]), Some(KeyFile));
        assert_eq!(cause(&[(KeyFile, Warning), (Authentication, Error)]), Some(Authentication));
        assert_eq!(cause(&[(Authentication, Error), (Clock, Error), (Tls, Ok)]), Some(Clock));
    }

    #[test]
    fn worse_result_keeps_earlier_evidence() {
        let mut checks = Checks::default();
        checks.add(Check::ok(CheckId::Key, "64 bytes").seen("from a file"));
        checks.worsen(Check::error(CheckId::Key, "a group's").seen("derived, it is accepted"));
        let report = Report::new(checks);
        assert_eq!(report.checks[0].evidence, ["64 bytes", "from a file", "derived, it is accepted"]);
        assert_eq!((report.cause, report.headline.as_str()), (Some(CheckId::Key), "a group's"));
    }

    #[test]
    fn report_begins_with_the_cause_and_its_remedy() {
        let mut checks = Checks::default();
        checks.add(Check::warning(CheckId::KeyFile, "others can read it").advise("chmod 600"));
        checks.add(Check::error(CheckId::Tls, "unknown\u{1b}[2J authority").seen("CN=a").advise("trust it"));
        checks.add(Check::skipped(CheckId::Clock, "tls failed").advise("look at it"));
        checks.add(Check::error(CheckId::Service, "no answer").advise("trust it"));
        let mut text = Printable(Vec::new());
        write(&Report::new(checks), &mut text).unwrap();
        let expected = "cause: unknown\\u{1b}[2J authority\n\n\
                        warning  key-file         others can read it\n\
                        skipped  clock            tls failed\n\
                        error    tls              unknown\\u{1b}[2J authority\n                            CN=a\n\
                        error    service          no answer\n\n\
                        what to do:\n  1. trust it\n  2. chmod 600\n";
        assert_eq!(String::from_utf8(text.0).unwrap(), expected);
    }
}
