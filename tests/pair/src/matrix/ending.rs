//! The outcome of a row: as expected by the file, and of a run, in a form that can be compared and printed.

use std::fmt;
use std::time::Duration;

use dps_core::{ErrorCode, Hint, Verdict};
use dps_emulator::Counters;
use serde::Deserialize;

use super::{Row, Transport};

/// The outcome of a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// Whether there is an assignment, or the record that was looked up.
    pub recovers: bool,
    error: Option<String>,
    number: Option<u16>,
    verdict: Option<String>,
    after_ms: Option<u64>,
    hint: Option<String>,
    /// The requests that the service received.
    pub requests: Requests,
}

/// The numbers of requests that the service received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Registrations.
    pub register: u64,
    /// Polls.
    pub poll: u64,
    /// Lookups.
    pub lookup: u64,
    /// MQTT connections.
    pub connect: u64,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The outcome.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
}

impl Ending {
    /// It recovered.
    #[must_use]
    pub fn recovered(requests: Requests) -> Self {
        Self { recovers: true, error: None, number: None, verdict: None, after_ms: None, hint: None, requests }
    }

    /// It failed.
    #[must_use]
    pub fn failed(code: ErrorCode, verdict: Verdict, first_hint: Option<Hint>, requests: Requests) -> Self {
        let (verdict, after_ms) = match verdict {
            Verdict::Never => ("never", None),
            Verdict::Reconfigure => ("reconfigure", None),
            Verdict::After(wait) => ("after", Some(wait.get())),
        };
        Self {
            recovers: false,
            error: Some(code.name().to_owned()),
            number: Some(code.number()),
            verdict: Some(verdict.to_owned()),
            after_ms,
            hint: first_hint.map(|hint| hint.name().to_owned()),
            requests,
        }
    }

    /// The error's name and number, and the first hint's name.
    #[must_use]
    pub fn names(&self) -> (Option<&str>, Option<u16>, Option<&str>) {
        (self.error.as_deref(), self.number, self.hint.as_deref())
    }
}

impl From<Counters> for Requests {
    fn from(counters: Counters) -> Self {
        Self {
            register: counters.registers,
            poll: counters.polls,
            lookup: counters.lookups,
            connect: counters.connects,
        }
    }
}

impl Ran {
    /// Returns the problem, if there is one. The run may end `grace` after its deadline.
    #[must_use]
    pub fn problem(&self, row: &Row, transport: Transport, grace: Duration) -> Option<String> {
        let (expected, limit) = (row.expected(transport), row.client.deadline() + grace);
        if self.ending != expected {
            return Some(format!("expected: {expected}; got: {}", self.ending));
        }
        (self.took > limit).then(|| format!("took {:?} and had {limit:?}", self.took))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, &self.verdict) {
            (Some(error), Some(verdict)) => {
                write!(f, "{error} {}, {verdict}", self.number.unwrap_or_default())?;
                if let Some(wait) = self.after_ms {
                    write!(f, " {wait} ms")?;
                }
                write!(f, ", {}", self.hint.as_deref().unwrap_or("no hint"))?;
            }
            _ => f.write_str("recovers")?,
        }
        write!(f, "; {}", self.requests)
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted =
            [("connect", self.connect), ("register", self.register), ("poll", self.poll), ("lookup", self.lookup)];
        let seen = counted.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}"));
        let seen: Vec<String> = seen.collect();
        f.write_str(if seen.is_empty() { "nothing asked" } else { "" })?;
        f.write_str(&seen.join(", "))
    }
}
