//! A string that must not be shown.

use std::fmt;

use zeroize::Zeroizing;

/// A secret string, such as a key in base64 or a token: wiped when dropped, and shown only by [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Returns the string. The name makes every use easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Moves a string that is wiped on drop, without a copy.
impl From<Zeroizing<String>> for SecretString {
    fn from(string: Zeroizing<String>) -> Self {
        Self(string)
    }
}

/// Copies the string; the caller must wipe the original.
impl From<&str> for SecretString {
    fn from(string: &str) -> Self {
        Self(Zeroizing::new(string.to_owned()))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(..)")
    }
}
