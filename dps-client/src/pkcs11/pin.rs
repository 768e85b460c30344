//! The PIN of a token: where it comes from, and which ones a token has refused.
//!
//! A token locks after a few wrong PINs. A PIN that was refused is not tried again by this process, until the token has
//! accepted another one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use dps_core::ErrorCode;
use dps_files::SecretString;

use super::failure::TokenError;

/// No file of a PIN is longer, in bytes.
const FILE_MAX: u64 = 4096;

/// Where the PIN comes from.
#[derive(Clone)]
pub(super) enum Pin {
    /// Read at each login.
    File(PathBuf),
    Value(SecretString),
}

impl Pin {
    pub(super) fn read(&self) -> Result<SecretString, TokenError> {
        let path = match self {
            Self::Value(pin) => return Ok(pin.clone()),
            Self::File(path) => path,
        };
        let no_pin = |what: &str| TokenError::new(ErrorCode::Pkcs11Login, format!("{} {what}", path.display()));
        let bytes = dps_files::read_secret(path, FILE_MAX).map_err(|error| {
            TokenError::new(ErrorCode::File, format!("{} with the PIN cannot be read: {error}", path.display()))
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| no_pin("is not text; it must contain only the PIN"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(no_pin("is empty; it must contain the PIN"));
        }
        Ok(SecretString::from(text))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// The PINs that one token has refused, as hashes of a function that is random in each process. Who holds the lock logs in, so
/// that a wrong PIN is tried once, however many threads have it.
pub(super) type Refused = Arc<Mutex<HashSet<u64>>>;

/// The PINs that a token has refused.
pub(super) fn refused_by(token: String) -> Refused {
    static TOKENS: LazyLock<Mutex<HashMap<String, Refused>>> = LazyLock::new(Mutex::default);
    Arc::clone(TOKENS.lock().unwrap_or_else(PoisonError::into_inner).entry(token).or_default())
}

/// By what a PIN is recognized without being kept.
pub(super) fn fingerprint(pin: &SecretString) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(pin.expose())
}
