//! The description of keys in a schema, and the checks of single values: type, range, words.

use crate::problem::Problem;
use crate::tree::Value;
use crate::uri::Location;
use crate::version::EdgeVersion;

/// A table, or the whole file.
pub(crate) struct Table {
    /// Its name in messages, such as "[provisioning]".
    pub(crate) label: &'static str,
    pub(super) keys: &'static [Key],
    /// The check for the values of other names, in a table with arbitrary names.
    pub(super) others: Option<Check>,
    /// Whether a name that no other table knows is reported as one of this table.
    pub(super) claims: bool,
}

pub(super) struct Key {
    pub(super) name: &'static str,
    /// The first version that reads it; earlier daemons ignore it.
    pub(super) since: EdgeVersion,
    pub(super) kind: Kind,
    /// Whether the daemons refuse its table without it.
    pub(super) required: bool,
    /// Whether the name means this key in any table.
    pub(super) telling: bool,
}

/// Returns what is wrong with a value; `None` if it is valid.
type Check = fn(&Value) -> Option<Problem>;

pub(super) enum Kind {
    /// One value.
    Value(Check),
    /// A list of values.
    List(Check),
    /// A table with arbitrary names, each with such a value.
    Map(Check),
    Table(&'static Table),
    /// One value, or a table.
    Either(Check, &'static Table),
    /// Not checked, except for known keys that are misplaced in it.
    Foreign,
}

pub(super) const fn key(name: &'static str, check: Check) -> Key {
    key_of_kind(name, Kind::Value(check))
}

pub(super) const fn table(name: &'static str, table: &'static Table) -> Key {
    key_of_kind(name, Kind::Table(table))
}

pub(super) const fn foreign(name: &'static str) -> Key {
    key_of_kind(name, Kind::Foreign)
}

pub(super) const fn key_of_kind(name: &'static str, kind: Kind) -> Key {
    Key { name, since: EdgeVersion::new(1, 0), kind, required: false, telling: false }
}

impl Key {
    pub(super) const fn since(mut self, version: EdgeVersion) -> Self {
        self.since = version;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn telling(mut self) -> Self {
        self.telling = true;
        self
    }
}

impl Kind {
    /// The table of known names below it.
    pub(super) const fn below(&self) -> Option<&'static Table> {
        match self {
            Self::Table(table) | Self::Either(_, table) => Some(table),
            _ => None,
        }
    }
}

/// The range of what the daemons keep in 32 bits: days, seconds or tries.
const U32: std::ops::RangeInclusive<i64> = 0..=u32::MAX as i64;

/// Checked elsewhere.
pub(super) fn any(_: &Value) -> Option<Problem> {
    None
}

pub(super) fn text(value: &Value) -> Option<Problem> {
    wrong(value.as_text().is_none(), "a quoted string")
}

pub(super) fn flag(value: &Value) -> Option<Problem> {
    wrong(value.as_boolean().is_none(), "true or false")
}

pub(super) fn number(value: &Value) -> Option<Problem> {
    wrong(!value.as_number().is_some_and(|number| U32.contains(&number)), "a whole number from 0 to 4294967295")
}

/// The validity of a certificate, in days.
pub(super) fn days(value: &Value) -> Option<Problem> {
    number(value).or_else(|| {
        let none = value.as_number() == Some(0);
        none.then_some(Problem::OutOfRange { wanted: "a number of days from 1 on" })
    })
}

/// `auth_key_index` of a TPM: the daemon adds 0x81000000 (TPM 2.0 Library, part 3, section 28.5).
pub(super) fn persistent_index(value: &Value) -> Option<Problem> {
    const WANTED: &str = "an offset from 0x81000000, at most 0x7FFFFF: without the 0x81";
    number(value).or_else(|| {
        let beyond = value.as_number().is_some_and(|number| number > 0x7F_FFFF);
        beyond.then_some(Problem::OutOfRange { wanted: WANTED })
    })
}

/// When the renewal of a certificate starts, and how often it is retried.
pub(super) fn renewal_policy(value: &Value) -> Option<Problem> {
    const WANTED: &str = "a part of the certificate's life such as \"80%\", or a time such as \"30day\" or \"90min\"";
    text(value).or_else(|| {
        let policy = value.as_text().unwrap_or_default();
        let number = |unit: &str| policy.strip_suffix(unit).and_then(|number| number.parse::<i64>().ok());
        let is_good = number("%").is_some_and(|percent| (1..100).contains(&percent))
            || ["min", "day"].iter().any(|unit| number(unit).is_some_and(|number| number > 0));
        (!is_good).then_some(Problem::OutOfRange { wanted: WANTED })
    })
}

/// `max_retries` of the watchdog.
pub(super) fn retries(value: &Value) -> Option<Problem> {
    let is_word = value.as_text().is_some_and(|text| text.eq_ignore_ascii_case("infinite"));
    if is_word { None } else { number(value).map(|_| Problem::WrongType { wanted: "a whole number, or \"infinite\"" }) }
}

/// The lowest version of TLS that the daemon accepts from edgeHub and others.
pub(super) fn tls_version(value: &Value) -> Option<Problem> {
    const WORDS: &[&str] = &["tls1.0", "tls1.1", "tls1.2"];
    // The daemon accepts several spellings, in any letter case.
    let plain = |text: &str| text.to_ascii_lowercase().replace(['.', '_', 'v'], "");
    let known = ["tls", "tls1", "tls10", "tls11", "tls12"];
    text(value).or_else(|| {
        let given = value.as_text().unwrap_or_default();
        let is_known = known.contains(&plain(given).as_str());
        (!is_known).then(|| Problem::UnknownWord { words: WORDS, nearest: nearest(given, WORDS.iter().copied()) })
    })
}

pub(super) fn pull_policy(value: &Value) -> Option<Problem> {
    word(value, &["on-create", "never"])
}

pub(super) fn issuance(value: &Value) -> Option<Problem> {
    word(value, &["est", "local_ca", "self_signed"])
}

/// A string that is not empty.
pub(super) fn filled(value: &Value) -> Option<Problem> {
    text(value).or_else(|| {
        let blank = value.as_text().is_some_and(|text| text.trim().is_empty());
        blank.then_some(Problem::OutOfRange { wanted: "a string that is not empty" })
    })
}

fn word(value: &Value, words: &'static [&'static str]) -> Option<Problem> {
    text(value).or_else(|| {
        let given = value.as_text().unwrap_or_default();
        let unknown = !words.contains(&given);
        unknown.then(|| Problem::UnknownWord { words, nearest: nearest(given, words.iter().copied()) })
    })
}

fn wrong(is_wrong: bool, wanted: &'static str) -> Option<Problem> {
    is_wrong.then_some(Problem::WrongType { wanted })
}

/// A certificate: the certificate daemon reads only files.
pub(super) fn certificate(value: &Value) -> Option<Problem> {
    check(value, Location::Certificate)
}

/// A private key: in a file or in a PKCS#11 token.
pub(super) fn private_key(value: &Value) -> Option<Problem> {
    check(value, Location::Key)
}

/// Any URL.
pub(super) fn any_url(value: &Value) -> Option<Problem> {
    check(value, Location::AnyUrl)
}

fn check(value: &Value, location: Location) -> Option<Problem> {
    text(value).or_else(|| location.check(value.as_text()?))
}

/// The one of `known` that a misspelt name resembles most, ignoring letter case and hyphens; `None` if none is similar.
pub(crate) fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let name = plain(name);
    let far = 1 + name.len() / 5;
    let distances = known.into_iter().map(|known| (strsim::osa_distance(&name, &plain(known)), known));
    distances
        .filter(|(distance, _)| *distance <= far.min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}
