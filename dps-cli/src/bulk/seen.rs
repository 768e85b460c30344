//! Which ids were there before, letter case aside, in bounded memory.
//!
//! Keeps 16 bytes an id (a table of about 36 MB for a million) instead of the ids: a 64-bit hash under a random
//! key. That two different ids of a million share one has a chance of about 3 in 100 million.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

/// Hashes ids under a key of its own; clones give the same hashes.
#[derive(Clone, Default)]
pub(crate) struct IdHasher(RandomState);

/// The hashes of one id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHash {
    /// Letter case aside.
    folded: u64,
    /// Part of the hash of the spelling, which tells a repetition from another spelling.
    spelling: u32,
}

impl IdHasher {
    /// Hashes `id`; `folded` is room for it in lower case.
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

/// Room is made for at most so many ids before they come; a guess may be far off.
const EXPECTED_MAX: u64 = 4_000_000;

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    first: HashMap<u64, First, BuildHasherDefault<AsItIs>>,
}

struct First {
    line: u32,
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
    /// Makes room for about so many ids at once: a table that grows is copied over and over.
    pub(crate) fn expect(&mut self, ids: u64) {
        self.first.reserve(ids.min(EXPECTED_MAX) as usize);
    }

    /// Notes an id, and says where it was before.
    pub(crate) fn note(&mut self, id: IdHash, line: u64) -> Option<Before> {
        match self.first.entry(id.folded) {
            Entry::Vacant(place) => {
                place.insert(First { line: u32::try_from(line).unwrap_or(u32::MAX), spelling: id.spelling });
                None
            }
            Entry::Occupied(place) => {
                let First { line, spelling } = *place.get();
                Some(if spelling == id.spelling { Before::Same { line } } else { Before::OtherCase { line } })
            }
        }
    }
}

/// What is a hash already is not hashed again.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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
    fn a_repetition_and_another_spelling_are_told_apart() {
        let (mut seen, hasher) = (Seen::default(), IdHasher::default());
        let mut note = |id, line| seen.note(hasher.hash(id, &mut String::new()), line);
        assert_eq!(note("dev-01", 1), None);
        assert_eq!(note("Dev-02", 2), None);
        assert_eq!(note("dev-01", 3), Some(Before::Same { line: 1 }));
        assert_eq!(note("DEV-01", 4), Some(Before::OtherCase { line: 1 }));
        assert_eq!(note("Dev-02", 5), Some(Before::Same { line: 2 }));
        assert_eq!(note("dev-02", 6), Some(Before::OtherCase { line: 2 }));
    }
}
