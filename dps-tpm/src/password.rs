//! Passwords, and which ones a TPM has refused.
//!
//! Wrong passwords can bring a TPM into lockout. One that was refused is not tried again by this process, until the TPM has
//! accepted another one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::code::handle;
use crate::tcti::Tcti;

/// The password of a hierarchy; empty by default, as in a TPM that nobody owns yet.
#[derive(Clone, Default)]
pub(crate) struct Password(Arc<Zeroizing<Vec<u8>>>);

impl Password {
    /// Trailing zeros do not count: the TPM removes them (TPM 2.0 Library, Part 1, 19.6.4.3).
    pub(crate) fn new(password: &[u8]) -> Self {
        let end = password.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self(Arc::new(Zeroizing::new(password[..end].to_vec())))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// By what it is recognized without being kept.
    pub(crate) fn fingerprint(&self) -> u64 {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        HASHER.hash_one(self.expose())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What has a password (an entity, TPM 2.0 Library, Part 1, 19.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entity {
    Endorsement,
    Owner,
    /// The key at a handle, which has none.
    Key(u32),
}

impl Entity {
    /// Its handle.
    pub(crate) fn handle(self) -> u32 {
        match self {
            Self::Endorsement => handle::ENDORSEMENT,
            Self::Owner => handle::OWNER,
            Self::Key(handle) => handle,
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endorsement => f.write_str("the endorsement hierarchy"),
            Self::Owner => f.write_str("the owner hierarchy"),
            Self::Key(handle) => write!(f, "the key at the handle {handle:#010x}"),
        }
    }
}

/// Passwords that were refused, as hashes of a function that is random in each process. Who holds the lock tries one, so that a
/// wrong one is tried once, however many threads have it.
pub(crate) type Refused = Arc<Mutex<HashSet<u64>>>;

/// The passwords that a TPM has refused.
pub(crate) fn refused_by(tcti: &Tcti, entity: Entity) -> Refused {
    static TPMS: LazyLock<Mutex<HashMap<(Tcti, Entity), Refused>>> = LazyLock::new(Mutex::default);
    let mut tpms = TPMS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(tpms.entry((tcti.clone(), entity)).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_of_a_password_do_not_count() {
        assert_eq!(Password::new(b"a\0b\0\0").expose(), b"a\0b");
        assert_eq!(Password::new(b"\0").expose(), b"");
        assert_eq!(Password::new(b"x").fingerprint(), Password::new(b"x\0").fingerprint());
        assert_ne!(Password::new(b"x").fingerprint(), Password::default().fingerprint());
        assert_eq!(format!("{:?}", Password::new(b"secret")), "Password(..)");
    }
}
