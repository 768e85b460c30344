//! What can go wrong, in one catalogue: codes with stable numbers, families, verdicts and hints.
//!
//! The enum here is the source; the numbered table for C, Python and the documents is generated from it. A leaf: it
//! knows nothing of keys, requests or links.

mod advice;
mod code;
mod config;
mod hint;
mod reply;

pub use advice::KeyEvidence;
pub(crate) use advice::{Evidence, rank};
pub use code::{ErrorCode, Family};
pub use config::{ConfigError, IdProblem, KeyProblem, PayloadProblem};
pub use hint::{Hint, Hints};
pub use reply::ReplyProblem;

use core::fmt;

use thiserror::Error;

use crate::time::Millis;

/// The line with this index. All texts of a table are one constant: linkers keep many a short one although nobody uses it.
pub(crate) const fn line(mut lines: &'static str, mut index: usize) -> &'static str {
    loop {
        let (line, rest) = first_line(lines);
        if index == 0 || rest.is_empty() {
            return line;
        }
        lines = rest;
        index = index.saturating_sub(1);
    }
}

/// The first line without its end, and what follows it.
const fn first_line(lines: &'static str) -> (&'static str, &'static str) {
    let bytes = lines.as_bytes();
    let mut end: usize = 0;
    let mut rest = bytes;
    while let [byte, others @ ..] = rest
        && *byte != b'\n'
    {
        rest = others;
        end = end.saturating_add(1);
    }
    match (lines.split_at_checked(end), lines.split_at_checked(end.saturating_add(1))) {
        (Some((line, _)), Some((_, rest))) => (line, rest),
        _ => (lines, ""),
    }
}

/// Whether, and when, it makes sense to try the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// Trying again unchanged will fail again: something outside this device must change first.
    Never,
    /// Trying again after this long may work.
    After(Millis),
    /// It can work once the caller changes what it passed in: a configuration value, a buffer, the clock.
    Reconfigure,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("do not try again before something outside this device has changed"),
            Self::After(Millis::ZERO) => f.write_str("try again now"),
            Self::After(wait) => write!(f, "try again in {wait}"),
            Self::Reconfigure => f.write_str("try again with another configuration, buffer or clock"),
        }
    }
}

/// A call that does not fit the state of the registration: an answer that is not awaited, or a lookup with a certificate request.
/// It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error(
    "the call does not fit the registration: the answer has another id, nothing is pending, or a lookup has a certificate request; nothing was changed"
)]
pub struct Misuse;
