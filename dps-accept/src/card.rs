//! The result of a run: each scenario with its outcome, the score, and the forms for people and programs.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::scenario::{Credential, Level, Scenario, ScenarioSet, Transport};

/// The result of a run.
///
/// `Display` writes a table, without control characters of the device. As JSON: `version` (of the set of scenarios),
/// `transport`, `credential`, `score`, `required` and `recommended` with `passed` and `applicable`, `isPartial`,
/// `elapsedMs`, and `scenarios`, each with `name`, `about`, `level`, `documents`, `outcome`, `problem`, `output` and
/// `elapsedMs`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    version: u32,
    transport: Transport,
    credential: Credential,
    score: u32,
    required: Tally,
    recommended: Tally,
    is_partial: bool,
    #[serde(rename = "elapsedMs", serialize_with = "milliseconds")]
    elapsed: Duration,
    scenarios: Vec<ScenarioResult>,
}

/// How many of the scenarios of a level that apply were passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    passed: u32,
    applicable: u32,
}

impl Tally {
    /// How many were passed.
    #[must_use]
    pub fn passed(self) -> u32 {
        self.passed
    }

    /// How many apply to the transport and credential, skipped ones included.
    #[must_use]
    pub fn applicable(self) -> u32 {
        self.applicable
    }
}

/// What became of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The device did what is expected.
    Passed,
    /// It did not.
    Failed,
    /// The scenario was left out on request; it counts as failed.
    Skipped,
    /// The scenario is not possible with this transport or credential, or with the fixed id of a board; it does not
    /// count.
    NotApplicable,
}

impl Outcome {
    /// The name in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// One scenario and its outcome.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioResult {
    name: &'static str,
    about: &'static str,
    level: Level,
    documents: &'static [String],
    outcome: Outcome,
    problem: Option<String>,
    output: Option<String>,
    #[serde(rename = "elapsedMs", serialize_with = "milliseconds")]
    elapsed: Duration,
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl ScenarioResult {
    pub(crate) fn new(scenario: &'static Scenario, outcome: Outcome) -> Self {
        Self {
            name: scenario.name(),
            about: scenario.about(),
            level: scenario.level(),
            documents: scenario.documents(),
            outcome,
            problem: None,
            output: None,
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) fn failed(scenario: &'static Scenario, problem: &str, output: Option<&str>) -> Self {
        let output = output.map(printable).filter(|output| !output.trim().is_empty());
        let problem = Some(printable(problem).trim_end().to_owned());
        Self { problem, output, ..Self::new(scenario, Outcome::Failed) }
    }

    pub(crate) fn in_time(self, elapsed: Duration) -> Self {
        Self { elapsed, ..self }
    }

    /// The name of the scenario.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// What happened to the device, and what it must do.
    #[must_use]
    pub fn about(&self) -> &str {
        self.about
    }

    /// Whether it counts for the score.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The published documents that the scenario rests on.
    #[must_use]
    pub fn documents(&self) -> &[String] {
        self.documents
    }

    /// The outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What the device did wrong, if it failed.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The last of the output of the device's command, if it failed, with control characters made visible and without
    /// the device's key.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// How long it took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl Card {
    pub(crate) fn new(
        (transport, credential): (Transport, Credential),
        is_partial: bool,
        scenarios: Vec<ScenarioResult>,
        elapsed: Duration,
    ) -> Self {
        let tally = |level| {
            let applicable = || scenarios.iter().filter(move |result| result.level == level);
            let count =
                |wanted: fn(Outcome) -> bool| applicable().filter(|result| wanted(result.outcome)).count() as u32;
            Tally {
                passed: count(|outcome| outcome == Outcome::Passed),
                applicable: count(|outcome| outcome != Outcome::NotApplicable),
            }
        };
        let (required, recommended) = (tally(Level::Required), tally(Level::Recommended));
        // Without a required scenario nothing was shown.
        let score = (required.passed * 100).checked_div(required.applicable).unwrap_or_default();
        let version = ScenarioSet::get().version();
        Self { version, transport, credential, score, required, recommended, is_partial, elapsed, scenarios }
    }

    /// The required scenarios that were passed, in percent of those that apply, rounded down. Skipped ones count as
    /// failed.
    #[must_use]
    pub fn score(&self) -> u32 {
        self.score
    }

    /// The version of the set of scenarios.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The transport that was tested.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The credential that was tested.
    #[must_use]
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// The required scenarios.
    #[must_use]
    pub fn required(&self) -> Tally {
        self.required
    }

    /// The recommended scenarios.
    #[must_use]
    pub fn recommended(&self) -> Tally {
        self.recommended
    }

    /// Whether only some scenarios were selected, so that the score is about these alone.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// How long the run took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Every selected scenario, in the order of the set.
    #[must_use]
    pub fn scenarios(&self) -> &[ScenarioResult] {
        &self.scenarios
    }

    /// The score in a sentence, with what was tested: the last line of `Display`.
    #[must_use]
    pub fn summary(&self) -> String {
        let (Tally { passed, applicable }, recommended) = (self.required, self.recommended);
        let (version, subject, score) = (self.version, self.subject(), self.score);
        let partial = if self.is_partial { "; only some scenarios were selected" } else { "" };
        format!(
            "score {score}: {passed} of {applicable} required scenarios passed, {} of {} recommended; {subject}, \
             scenarios version {version}, {:.0} s{partial}",
            recommended.passed,
            recommended.applicable,
            self.elapsed.as_secs_f64()
        )
    }

    /// Returns the card as JUnit XML.
    #[must_use]
    pub fn to_junit(&self) -> String {
        crate::junit::write(self)
    }

    /// The name of what was tested, such as `https with key`.
    pub(crate) fn subject(&self) -> String {
        format!("{} with {}", self.transport.name(), self.credential.name())
    }
}

impl fmt::Display for ScenarioResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Recommended { " (recommended)" } else { "" };
        write!(f, "{:<14} {}{level}", self.outcome.name(), self.name)?;
        if self.outcome == Outcome::Failed {
            write!(f, "\n    {}\n    {}", self.about, self.problem.as_deref().unwrap_or_default())?;
            for document in self.documents {
                write!(f, "\n    see {document}")?;
            }
            for line in self.output.iter().flat_map(|output| output.lines()) {
                write!(f, "\n    | {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.scenarios {
            writeln!(f, "{result}")?;
        }
        f.write_str(&self.summary())
    }
}

/// Makes control characters visible; newlines stay, as ends of lines.
fn printable(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if c != '\n' && is_control(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(outcomes: &[(&str, Outcome)]) -> Card {
        let set = ScenarioSet::get().scenarios();
        let found = |name| set.iter().find(|scenario| scenario.name() == name).unwrap();
        let results = outcomes.iter().map(|(name, outcome)| ScenarioResult::new(found(*name), *outcome));
        Card::new((Transport::Https, Credential::Key), false, results.collect(), Duration::from_secs(3))
    }

    #[test]
    fn score_counts_required_scenarios_and_skipped_ones_as_failed() {
        let mixed = card(&[
            ("registers", Outcome::Passed),
            ("several-polls", Outcome::Passed),
            ("throttled-poll", Outcome::Skipped),
            ("certificate-chain", Outcome::NotApplicable),
            ("large-reply", Outcome::Failed),
        ]);
        assert_eq!((mixed.score(), mixed.required().passed(), mixed.required().applicable()), (66, 2, 3));
        assert_eq!((mixed.recommended().passed(), mixed.recommended().applicable()), (0, 1));
        assert_eq!(card(&[("large-reply", Outcome::Passed)]).score(), 0);
        assert!(mixed.to_string().ends_with(
            "score 66: 2 of 3 required scenarios passed, 0 of 1 recommended; https with key, scenarios version 1, 3 s"
        ));
    }

    #[test]
    fn output_of_a_device_cannot_control_a_terminal() {
        let scenario = &ScenarioSet::get().scenarios()[0];
        let failed = ScenarioResult::failed(scenario, "it \u{9b}2J ended", Some("a\x1b[31m\r\nb\u{202e}c\n"));
        let shown = failed.to_string();
        assert!(!shown.contains(|c: char| c != '\n' && c.is_control()) && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.contains("| a\\u{1b}[31m") && shown.contains("| b\\u{202e}c"), "{shown}");
    }

    #[test]
    fn card_is_written_as_json_with_units_in_names() {
        let json = serde_json::to_value(card(&[("registers", Outcome::Passed)])).unwrap();
        assert_eq!(
            (&json["score"], &json["transport"], &json["elapsedMs"]),
            (&100.into(), &"https".into(), &3000.into())
        );
        assert_eq!((&json["required"]["applicable"], &json["isPartial"]), (&1.into(), &false.into()));
        let scenario = &json["scenarios"][0];
        assert_eq!((&scenario["name"], &scenario["outcome"]), (&"registers".into(), &"passed".into()));
        assert_eq!((&scenario["level"], &scenario["elapsedMs"]), (&"required".into(), &0.into()));
    }
}
