//! Detects repeated ids, ignoring letter case, in bounded memory.
//!
//! Stores 16 bytes per id (a table of about 36 MB for a million) instead of the ids: a 64-bit hash under a random key.
//! The chance that two different ids of a million have the same hash is about 3 in 100 million.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

/// Room for at most this many ids is reserved in advance, since the estimate may be far off.
const EXPECTED_MAX: u64 = 4_000_000;

/// Hashes ids under a random key; clones return the same hashes.
#[derive(Clone, Default)]
pub(crate) struct IdHasher(RandomState);

/// The hashes of one id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHash {
    /// The hash of the id in lower case.
    folded: u64,
    /// Part of the hash of the spelling, to distinguish a repetition from another spelling.
    spelling: u32,
}

impl IdHasher {
    /// Hashes `id`; `folded` is a buffer for it in lower case.
    pub(crate) fn hash(&self, id: &str, folded: &mut String) -> IdHash {
        let spelling = self.0.hash_one(id);
        if !id.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return IdHash { folded: spelling, spelling: spelling as u32 };
        }
        folded.clear();
        folded.push_str(id);
        folded.make_ascii_lowercase();
        IdHash { folded: self.0.hash_one(&*folded), spelling: spelling as u32 }
    }
}

/// The ids that were seen.
#[derive(Default)]
pub(crate) struct Seen {
    first: HashMap<u64, First, BuildHasherDefault<PassThroughHasher>>,
}

struct First {
    line: u32,
    spelling: u32,
}

/// An id that is on this earlier line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// In the same spelling.
    Same { line: u32 },
    /// In another letter case: the same device for the service, but another key.
    OtherCase { line: u32 },
}

impl Seen {
    /// Reserves room for about this many ids: a growing table is copied repeatedly.
    pub(crate) fn reserve(&mut self, ids: u64) {
        self.first.reserve(ids.min(EXPECTED_MAX) as usize);
    }

    /// Records an id, and returns its earlier line if it is repeated.
    pub(crate) fn insert(&mut self, id: IdHash, line: u64) -> Option<Repetition> {
        match self.first.entry(id.folded) {
            Entry::Vacant(place) => {
                place.insert(First { line: u32::try_from(line).unwrap_or(u32::MAX), spelling: id.spelling });
                None
            }
            Entry::Occupied(place) => {
                let First { line, spelling } = *place.get();
                Some(if spelling == id.spelling { Repetition::Same { line } } else { Repetition::OtherCase { line } })
            }
        }
    }
}

/// Returns a hash as it is, instead of hashing it again.
#[derive(Default)]
struct PassThroughHasher(u64);

impl Hasher for PassThroughHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_other_spellings_are_distinguished() {
        let (mut seen, hasher) = (Seen::default(), IdHasher::default());
        let mut insert = |id, line| seen.insert(hasher.hash(id, &mut String::new()), line);
        assert_eq!(insert("dev-01", 1), None);
        assert_eq!(insert("Dev-02", 2), None);
        assert_eq!(insert("dev-01", 3), Some(Repetition::Same { line: 1 }));
        assert_eq!(insert("DEV-01", 4), Some(Repetition::OtherCase { line: 1 }));
        assert_eq!(insert("Dev-02", 5), Some(Repetition::Same { line: 2 }));
        assert_eq!(insert("dev-02", 6), Some(Repetition::OtherCase { line: 2 }));
    }
}
