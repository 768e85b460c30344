//! Registration ids, group ids and scopes: what is one, and when two are the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest registration or enrollment group id, in characters.
pub const ID_MAX: usize = 128;

/// Why a text is no registration or enrollment group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is empty.
    #[error("the id is empty")]
    Empty,
    /// It has more than 128 characters.
    #[error("the id has {0} characters; at most 128 are allowed")]
    TooLong(usize),
    /// It has a character outside of letters, digits, `-`, `.`, `_`, `:`.
    #[error("the character at offset {0} of the id is not a letter, digit, '-', '.', '_' or ':'")]
    Character(usize),
    /// It ends with `.`, `_` or `:`.
    #[error("the id must end with a letter, digit or '-'")]
    End,
}

/// Checks what the service documents. A leading special character, which the specification excludes and the service
/// was never seen to, is let through.
pub(crate) fn check(id: &str) -> Result<(), IdError> {
    if let Some(at) = id.bytes().position(|b| !b.is_ascii_alphanumeric() && !b"-._:".contains(&b)) {
        return Err(IdError::Character(at));
    }
    match id.bytes().last() {
        None => Err(IdError::Empty),
        Some(_) if id.len() > ID_MAX => Err(IdError::TooLong(id.len())),
        Some(b'.' | b'_' | b':') => Err(IdError::End),
        Some(_) => Ok(()),
    }
}

/// An id without its letter case: the service compares ids so, and keeps the spelling that it saw first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FoldedId(String);

impl FoldedId {
    pub(crate) fn of(id: &str) -> Self {
        Self(id.to_ascii_lowercase())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FoldedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_id() {
        for good in ["a", "dev_1.a:b-c", "A-", "-dev", &"d".repeat(128)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(""), Err(IdError::Empty));
        assert_eq!(check(&"d".repeat(129)), Err(IdError::TooLong(129)));
        assert_eq!(check("dev 1"), Err(IdError::Character(3)));
        assert_eq!(check("gerät"), Err(IdError::Character(3)));
        assert_eq!(check("dev."), Err(IdError::End));
    }
}
