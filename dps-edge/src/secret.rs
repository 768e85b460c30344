//! Texts that must not be seen: wiped when dropped, shown only on purpose.

use std::fmt;

use dps_core::Key;
use dps_core::limits::KEY_TEXT_MAX;
use zeroize::Zeroizing;

/// A text that is wiped when dropped and shown only by [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The key as base64.
    pub(crate) fn from_key(key: &Key) -> Self {
        let mut buffer = Zeroizing::new([0; KEY_TEXT_MAX]);
        // The buffer holds the longest key there is.
        Self::new(key.write_base64(buffer.as_mut_slice()).unwrap_or_default())
    }

    /// The text. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether a text that should be none seems to be a secret: pasted into the wrong place, it must not be shown from
/// there.
pub(crate) fn looks_secret(text: &str) -> bool {
    // Ids made of a TPM's key are base64 digits too, all of them small letters and digits.
    const SHORTEST: usize = 40;
    let marks = |c: char| c.is_ascii_uppercase() || "+/=".contains(c);
    let is_key = text.len() >= SHORTEST && text.contains(marks) && Key::from_base64(text.trim()).is_ok();
    is_key || text.contains("SharedAccess") || text.contains("PRIVATE KEY") || text.contains("pin-value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_and_what_does_not() {
        for text in [
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc",
            "HostName=hub-a.test;DeviceId=a;SharedAccessKey=x",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(looks_secret(text), "{text}");
        }
        for text in [
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
            "6lzzcdalf2fna265ao6qh7vaey6fu2kz3barg3susmytx47ku2ua",
            "https://global.azure-devices-provisioning.net",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        ] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
