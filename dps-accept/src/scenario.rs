//! The set of scenarios: which exist, what each does to a device, and what it expects. The set is data, in
//! `scenarios.json`; its version changes with every change of what is expected.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dps_emulator::{FaultPlan, RetryAfter};
use serde::{Deserialize, Deserializer, Serialize};

/// The scenarios of this version of the crate.
///
/// ```
/// use dps_accept::{Level, ScenarioSet};
///
/// let set = ScenarioSet::get();
/// let first = &set.scenarios()[0];
/// assert_eq!((first.name(), first.level()), ("registers", Level::Required));
/// assert!(set.version() >= 1 && !first.documents().is_empty());
/// ```
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSet {
    version: u32,
    documents: BTreeMap<String, String>,
    scenarios: Vec<Scenario>,
}

static SET: LazyLock<ScenarioSet> = LazyLock::new(|| {
    let parsed: Result<ScenarioSet, _> = serde_json::from_str(include_str!("scenarios.json"));
    // The file is compiled in, and a test reads it.
    let mut set = parsed.unwrap_or_else(|error| unreachable!("scenarios.json: {error}"));
    for scenario in &mut set.scenarios {
        scenario.documents.iter_mut().for_each(|name| *name = set.documents.get(name).cloned().unwrap_or_default());
    }
    set
});

impl ScenarioSet {
    /// Returns the set.
    #[must_use]
    pub fn get() -> &'static Self {
        &SET
    }

    /// Its version. Scores of different versions cannot be compared.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The scenarios, in the order in which they run.
    #[must_use]
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }
}

/// What happens to a device in one run of it, and what it must do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    name: String,
    about: String,
    level: Level,
    documents: Vec<String>,
    #[serde(default = "Transport::all")]
    pub(crate) transports: Vec<Transport>,
    #[serde(default = "Credential::all")]
    pub(crate) credentials: Vec<Credential>,
    pub(crate) registration_id: Option<SpecialId>,
    #[serde(default)]
    pub(crate) service: ServiceSettings,
    #[serde(default)]
    pub(crate) enrollment: EnrollmentPlan,
    pub(crate) impostor: Option<ImpostorPlan>,
    #[serde(default)]
    pub(crate) plans: Vec<FaultPlan>,
    pub(crate) expect: Expect,
}

impl Scenario {
    /// Its name, in lower case with hyphens. Names are never reused.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens, and what the device must do, in one sentence.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether it counts for the score.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The published documents that it rests on.
    #[must_use]
    pub fn documents(&self) -> &[String] {
        &self.documents
    }

    /// The transports over which it can happen.
    #[must_use]
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    /// The credentials with which it can happen.
    #[must_use]
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }
}

/// Whether a scenario counts for the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// A document of the service or of its protocols requires it; it counts.
    Required,
    /// Good practice that no document requires; it does not count.
    Recommended,
}

/// The transport that a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS.
    Https,
    /// MQTT over TLS.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWs,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::Https, Self::Mqtt, Self::MqttWs];

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// The name: `https`, `mqtt` or `mqtt-ws`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Mqtt => "mqtt",
            Self::MqttWs => "mqtt-ws",
        }
    }
}

/// The credential that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Credential {
    /// A symmetric key, with which the device signs a token.
    Key,
    /// A certificate with its private key.
    X509,
}

impl Credential {
    /// Every credential.
    pub const ALL: [Self; 2] = [Self::Key, Self::X509];

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// The name: `key` or `x509`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::X509 => "x509",
        }
    }
}

/// A registration id of a special form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpecialId {
    #[serde(rename = "length-64")]
    Length64,
    #[serde(rename = "length-128")]
    Length128,
    Punctuation,
}

/// How the service is enrolled for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EnrollmentPlan {
    #[default]
    Individual,
    /// With another key or certificate than the device has.
    OtherKey,
    Disabled,
    /// No hub is linked, so that every assignment fails.
    NoHub,
    /// The device's certificate was issued by an intermediate authority of an enrollment group.
    GroupChain,
}

/// A server that is not the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImpostorPlan {
    AnotherAuthority,
    AnotherName,
    Expired,
}

/// How the service behaves, apart from faults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ServiceSettings {
    pub(crate) assigning_ms: u64,
    #[serde(deserialize_with = "hint")]
    pub(crate) retry_after: Option<RetryAfter>,
    pub(crate) tls_version: Option<TlsVersionName>,
    /// Whether polls beyond the quota are refused. Where they are not, it is seen how often a device would poll.
    pub(crate) refuses_polls: bool,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self { assigning_ms: 500, retry_after: Some(RetryAfter::Seconds(1)), tls_version: None, refuses_polls: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum TlsVersionName {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Reads seconds, `{"dateOffset": seconds}` or null.
fn hint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RetryAfter>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Hint {
        Seconds(u32),
        Date {
            #[serde(rename = "dateOffset")]
            offset: i64,
        },
    }
    Ok(Option::<Hint>::deserialize(from)?.map(|hint| match hint {
        Hint::Seconds(seconds) => RetryAfter::Seconds(seconds),
        Hint::Date { offset } => RetryAfter::Date(offset),
    }))
}

/// What the device must do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) ends: Ends,
    /// How long the device has, in seconds.
    #[serde(default = "within_seconds")]
    pub(crate) within_seconds: u64,
    /// How many register calls may start an operation.
    #[serde(default = "one")]
    pub(crate) operations: usize,
    /// How many polls may arrive, if that is limited beyond the quota.
    pub(crate) polls: Option<usize>,
    /// How long a token may be valid from its arrival, in seconds.
    pub(crate) token_life_seconds_most: Option<i64>,
}

fn within_seconds() -> u64 {
    60
}

fn one() -> usize {
    1
}

/// How a scenario ends for a device that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ends {
    /// The device was told its assignment.
    Assigned,
    /// The device was told its assignment, or it ended or gave up by itself.
    AssignedOrOver,
    /// The device was refused, and made few calls afterwards.
    Stops,
    /// The failure lasts: the device gave up, or went on at a bounded rate.
    Paced,
    /// The device connected, and sent nothing to a server that it must not trust.
    SendsNothing,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_has_a_name_a_sentence_and_a_document() {
        let set = ScenarioSet::get();
        let names: BTreeSet<_> = set.scenarios().iter().map(Scenario::name).collect();
        assert_eq!(names.len(), set.scenarios().len(), "a name is used twice");
        for scenario in set.scenarios() {
            assert!(scenario.about().ends_with('.'), "{}", scenario.name());
            assert!(!scenario.documents().is_empty(), "{}", scenario.name());
            assert!(scenario.documents().iter().all(|document| !document.is_empty()), "{}", scenario.name());
            let name_is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            assert!(scenario.name().chars().all(name_is_plain), "{}", scenario.name());
        }
    }

    #[test]
    fn every_document_is_used() {
        let set = ScenarioSet::get();
        for document in set.documents.values() {
            let is_used = set.scenarios().iter().any(|scenario| scenario.documents().contains(document));
            assert!(is_used, "{document}");
        }
    }

    #[test]
    fn every_transport_and_credential_has_required_scenarios() {
        for transport in Transport::ALL {
            for credential in Credential::ALL {
                let count = ScenarioSet::get().scenarios().iter().filter(|scenario| {
                    scenario.level() == Level::Required
                        && scenario.transports().contains(&transport)
                        && scenario.credentials().contains(&credential)
                });
                assert!(count.count() >= 20, "{} with {}", transport.name(), credential.name());
            }
        }
    }
}
