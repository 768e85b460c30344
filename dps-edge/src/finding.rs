//! What is found in a file: which rule, where, and what to do about it.
//!
//! A finding cannot hold any of the file: it is made of names that this crate knows and of numbers.

use std::fmt;

use crate::place::Place;
use crate::problem::Problem;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but hardly as it was meant.
    Warning,
    /// The daemons refuse it, or it cannot work.
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding. [`Display`](fmt::Display) is `line:column: severity[id]: message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// The key that it is about, where that is one of IoT Edge's.
    pub key: Option<&'static str>,
    /// What.
    pub problem: Problem,
}

impl Finding {
    pub(crate) const fn new(place: Place, problem: Problem) -> Self {
        Self { place, key: None, problem }
    }

    /// The finding of a file that [`stray_files`](crate::stray_files) gives.
    #[must_use]
    pub const fn stray_file() -> Self {
        Self::new(Place { line: 1, column: 1 }, Problem::StrayFile)
    }

    /// What is wrong, of which key, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        let problem = self.problem.to_string();
        match (self.key, problem.strip_prefix("this key ")) {
            (Some(key), Some(predicate)) => format!("`{key}` {predicate}"),
            (Some(key), None) => format!("`{key}`: {problem}"),
            (None, _) => problem,
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }

    /// The rule's name; it never changes.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.problem.entry().0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: {}[{}]: {}", self.severity().name(), self.id(), self.message())
    }
}
