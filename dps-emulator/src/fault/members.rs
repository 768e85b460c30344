//! The members of a plan's JSON object, read one by one, so that every refusal names the member and what it takes.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::kind::{KINDS, Kind};
use super::plan::PlanError;
use super::{At, RetryAfter};
use crate::ids;

pub(super) const REGISTRATION_ID: &str = "registrationId";
pub(super) const AT: &str = "at";
pub(super) const KIND: &str = "kind";
pub(super) const TIMES: &str = "times";
pub(super) const RETRY_AFTER: &str = "retryAfter";
pub(super) const DATE_OFFSET: &str = "dateOffset";
pub(super) const STATUS: &str = "status";
pub(super) const MS: &str = "ms";
pub(super) const OVERSIZE: &str = "bytes";
pub(super) const CODE: &str = "code";
pub(super) const PATCH: &str = "patch";
pub(super) const OF: &str = "of";
pub(super) const ANSWERED: &str = "answered";

/// Every member that a plan can have.
const ALL: [&str; 12] =
    [REGISTRATION_ID, AT, KIND, TIMES, RETRY_AFTER, STATUS, MS, OVERSIZE, CODE, PATCH, OF, ANSWERED];
/// Those that every kind takes.
const COMMON: [&str; 4] = [REGISTRATION_ID, AT, KIND, TIMES];

/// A day: no client waits longer.
const DELAY_MAX_MS: u64 = 24 * 3600 * 1000;
/// Far beyond what any client takes; the whole body is held in memory.
const OVERSIZE_MAX: usize = 16 * 1024 * 1024;
/// Ten years, so that the date keeps its four-digit year.
const DATE_OFFSET_MAX: u64 = 10 * 365 * 24 * 3600;

/// A plan's object.
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    pub(super) fn kind(&self) -> Result<&'static Kind, PlanError> {
        let one_of = || format!("one of {}", list(KINDS.iter().map(|kind| kind.name)));
        let Some(value) = self.0.get(KIND) else { return Err(missing(KIND, one_of())) };
        let named = value.as_str().and_then(|name| KINDS.iter().find(|kind| kind.name == name));
        named.ok_or_else(|| must_be(KIND, one_of()))
    }

    /// Refuses members that no plan has, and those that belong to other kinds.
    pub(super) fn check_all_belong_to(&self, kind: &Kind) -> Result<(), PlanError> {
        for member in self.0.keys().map(String::as_str) {
            if !ALL.contains(&member) {
                return Err(PlanError::new(member, format!("is no member of a fault; there are {}", list(ALL))));
            }
            if !COMMON.contains(&member) && !kind.members.contains(&member) {
                let takers = KINDS.iter().filter(|other| other.members.contains(&member)).map(|other| other.name);
                let problem = format!("does not go with kind '{}'; it is for {}", kind.name, list(takers));
                return Err(PlanError::new(member, problem));
            }
        }
        Ok(())
    }

    pub(super) fn registration_id(&self) -> Result<Option<String>, PlanError> {
        let Some(value) = self.0.get(REGISTRATION_ID) else { return Ok(None) };
        let id = value.as_str().ok_or_else(|| must_be(REGISTRATION_ID, "a registration id"))?;
        ids::check(id).map_err(|error| must_be(REGISTRATION_ID, format!("a registration id: {error}")))?;
        Ok(Some(id.to_owned()))
    }

    pub(super) fn at(&self, kind: &Kind) -> Result<At, PlanError> {
        let found = match self.0.get(AT) {
            None => Some(At::Any),
            Some(value) => At::ALL.into_iter().find(|at| value.as_str() == Some(at.name())),
        };
        let places = || match kind.places {
            [only] => format!("{} for kind '{}'", only.name(), kind.name),
            several => format!("one of {} for kind '{}'", list(several.iter().map(|at| at.name())), kind.name),
        };
        found.filter(|at| kind.places.contains(at)).ok_or_else(|| must_be(AT, places()))
    }

    pub(super) fn times(&self) -> Result<u32, PlanError> {
        if self.0.contains_key(TIMES) { self.number(TIMES, 1..=u32::MAX) } else { Ok(1) }
    }

    pub(super) fn status(&self) -> Result<u16, PlanError> {
        self.number(STATUS, 400..=599)
    }

    pub(super) fn ms(&self) -> Result<u64, PlanError> {
        self.number(MS, 1..=DELAY_MAX_MS)
    }

    pub(super) fn oversize(&self) -> Result<usize, PlanError> {
        self.number(OVERSIZE, 1..=OVERSIZE_MAX)
    }

    /// The refusals of MQTT 3.1.1, section 3.2.2.3.
    pub(super) fn code(&self) -> Result<u8, PlanError> {
        self.number(CODE, 1..=5)
    }

    pub(super) fn patch(&self) -> Result<Map<String, Value>, PlanError> {
        const TAKEN: &str = "a JSON object: members to change, null for those to remove";
        let Some(value) = self.0.get(PATCH) else { return Err(missing(PATCH, TAKEN.into())) };
        value.as_object().cloned().ok_or_else(|| must_be(PATCH, TAKEN))
    }

    pub(super) fn retry_after(&self) -> Result<Option<RetryAfter>, PlanError> {
        let Some(value) = self.0.get(RETRY_AFTER) else { return Ok(None) };
        let offset = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.get(DATE_OFFSET));
        if let Some(offset) = offset.and_then(Value::as_i64) {
            if offset.unsigned_abs() > DATE_OFFSET_MAX {
                let problem = format!("may be dated at most {DATE_OFFSET_MAX} seconds from the service's clock");
                return Err(PlanError::new(RETRY_AFTER, problem));
            }
            return Ok(Some(RetryAfter::Date(offset)));
        }
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let taken = || format!("whole seconds from 0 to {}, or a date as {{\"{DATE_OFFSET}\": SECONDS}}", u32::MAX);
        seconds.map(|seconds| Some(RetryAfter::Seconds(seconds))).ok_or_else(|| must_be(RETRY_AFTER, taken()))
    }

    /// The value that this name stands for.
    pub(super) fn one_of<T, const N: usize>(
        &self,
        member: &'static str,
        names: [(&'static str, T); N],
    ) -> Result<T, PlanError> {
        let known = format!("one of {}", list(names.iter().map(|(name, _)| *name)));
        let Some(value) = self.0.get(member) else { return Err(missing(member, known)) };
        let named = names.into_iter().find(|(name, _)| value.as_str() == Some(name));
        named.map(|(_, value)| value).ok_or_else(|| must_be(member, known))
    }

    /// True or false; false when it is absent.
    pub(super) fn flag(&self, member: &'static str) -> Result<bool, PlanError> {
        let Some(value) = self.0.get(member) else { return Ok(false) };
        value.as_bool().ok_or_else(|| must_be(member, "true or false"))
    }

    fn number<T>(&self, member: &'static str, range: RangeInclusive<T>) -> Result<T, PlanError>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let taken = || format!("a whole number from {} to {}", range.start(), range.end());
        let Some(value) = self.0.get(member) else { return Err(missing(member, taken())) };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| must_be(member, taken()))
    }
}

fn missing(member: &str, taken: String) -> PlanError {
    PlanError::new(member, format!("is missing; it must be {taken}"))
}

pub(super) fn must_be(member: &str, taken: impl Display) -> PlanError {
    PlanError::new(member, format!("must be {taken}"))
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
