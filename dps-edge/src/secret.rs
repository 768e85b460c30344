//! Secrets in a configuration: keys as text, and text that looks like a secret in the wrong place.

use dps_core::Key;
use dps_core::limits::KEY_TEXT_MAX;
use dps_files::SecretString;
use zeroize::Zeroizing;

/// Returns the key as base64.
pub(crate) fn key_text(key: &Key) -> SecretString {
    let mut buffer = Zeroizing::new([0; KEY_TEXT_MAX]);
    // The buffer holds the longest key.
    key.write_base64(buffer.as_mut_slice()).unwrap_or_default().into()
}

/// Whether a value that should not be a secret seems to be one: a secret that was pasted into the wrong place must not
/// be shown.
pub(crate) fn looks_secret(text: &str) -> bool {
    // Ids derived from a TPM's key are base64 digits too, but only lower-case letters and digits.
    const SHORTEST: usize = 40;
    let marks = |c: char| c.is_ascii_uppercase() || "+/=".contains(c);
    let is_key = text.len() >= SHORTEST && text.contains(marks) && Key::from_base64(text.trim()).is_ok();
    is_key || text.contains("SharedAccess") || text.contains("PRIVATE KEY") || text.contains("pin-value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_secret_recognizes_keys_and_ignores_ids() {
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
