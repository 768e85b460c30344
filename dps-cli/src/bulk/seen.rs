//! Which ids were there before, letter case aside, in bounded memory.
//!
//! Keeps 16 bytes an id (a table of about 36 MB for a million) instead of the ids: a 64-bit hash under a random
//! key. That two different ids of a million share one has a chance of about 3 in 100 million.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    hash: RandomState,
    first: HashMap<u64, First>,
}

struct First {
    line: u32,
    /// Part of the hash of the spelling, which tells a repetition from another spelling.
    spelling: u32,
}

/// An id that was there before, on this line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// In the same spelling.
    Same { line: u32 },
    /// In another letter case: one device to the service, but two different keys.
    OtherCase { line: u32 },
}

impl Seen {
    /// Notes `id`, and says where it was before.
    pub(crate) fn note(&mut self, id: &str, line: u64) -> Option<Before> {
        let spelling = self.hash.hash_one(id) as u32;
        match self.first.entry(self.hash.hash_one(id.to_ascii_lowercase())) {
            Entry::Vacant(place) => {
                place.insert(First { line: u32::try_from(line).unwrap_or(u32::MAX), spelling });
                None
            }
            Entry::Occupied(place) => {
                let First { line, spelling: first } = *place.get();
                Some(if first == spelling { Before::Same { line } } else { Before::OtherCase { line } })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_and_another_spelling_are_told_apart() {
        let mut seen = Seen::default();
        assert_eq!(seen.note("dev-01", 1), None);
        assert_eq!(seen.note("dev-02", 2), None);
        assert_eq!(seen.note("dev-01", 3), Some(Before::Same { line: 1 }));
        assert_eq!(seen.note("DEV-02", 4), Some(Before::OtherCase { line: 2 }));
    }
}
