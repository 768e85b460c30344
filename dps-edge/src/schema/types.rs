//! What one value can be: its type, its range, its words.

use crate::problem::Problem;
use crate::schema;
use crate::tree::Value;

/// What the daemons keep in 32 bits, in days, seconds or tries.
const U32: std::ops::RangeInclusive<i64> = 0..=u32::MAX as i64;

/// Checked by who reads it.
pub(super) fn any(_: &Value) -> Option<Problem> {
    None
}

pub(super) fn text(value: &Value) -> Option<Problem> {
    wrong(value.as_text().is_none(), "a text in quotes")
}

pub(super) fn flag(value: &Value) -> Option<Problem> {
    wrong(value.as_boolean().is_none(), "true or false")
}

pub(super) fn number(value: &Value) -> Option<Problem> {
    wrong(!value.as_number().is_some_and(|number| U32.contains(&number)), "a whole number from 0 to 4294967295")
}

/// Days of a certificate.
pub(super) fn days(value: &Value) -> Option<Problem> {
    number(value).or_else(|| {
        let none = value.as_number() == Some(0);
        none.then_some(Problem::OutOfRange { wanted: "a number of days from 1 on" })
    })
}

/// `auth_key_index` of a TPM: the daemon adds 0x81000000 (TPM 2.0 Library, part 3, section 28.5).
pub(super) fn persistent_index(value: &Value) -> Option<Problem> {
    const WANTED: &str = "an offset from 0x81000000, at most 0x7FFFFF: leave the 0x81 out";
    number(value).or_else(|| {
        let beyond = value.as_number().is_some_and(|number| number > 0x7F_FFFF);
        beyond.then_some(Problem::OutOfRange { wanted: WANTED })
    })
}

/// When a certificate is renewed, and how often that is tried.
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

/// The least version of TLS that edgeHub and others may speak to the daemon.
pub(super) fn tls_version(value: &Value) -> Option<Problem> {
    const WORDS: &[&str] = &["tls1.0", "tls1.1", "tls1.2"];
    // The daemon takes more ways to write them, in any letter case.
    let plain = |text: &str| text.to_ascii_lowercase().replace(['.', '_', 'v'], "");
    let known = ["tls", "tls1", "tls10", "tls11", "tls12"];
    text(value).or_else(|| {
        let given = value.as_text().unwrap_or_default();
        let is_known = known.contains(&plain(given).as_str());
        (!is_known)
            .then(|| Problem::UnknownWord { words: WORDS, nearest: schema::nearest(given, WORDS.iter().copied()) })
    })
}

pub(super) fn pull_policy(value: &Value) -> Option<Problem> {
    word(value, &["on-create", "never"])
}

pub(super) fn issuance(value: &Value) -> Option<Problem> {
    word(value, &["est", "local_ca", "self_signed"])
}

/// A text with something in it.
pub(super) fn filled(value: &Value) -> Option<Problem> {
    text(value).or_else(|| {
        let blank = value.as_text().is_some_and(|text| text.trim().is_empty());
        blank.then_some(Problem::OutOfRange { wanted: "a text with something in it" })
    })
}

fn word(value: &Value, words: &'static [&'static str]) -> Option<Problem> {
    text(value).or_else(|| {
        let given = value.as_text().unwrap_or_default();
        let unknown = !words.contains(&given);
        unknown.then(|| Problem::UnknownWord { words, nearest: schema::nearest(given, words.iter().copied()) })
    })
}

fn wrong(is_wrong: bool, wanted: &'static str) -> Option<Problem> {
    is_wrong.then_some(Problem::WrongType { wanted })
}
