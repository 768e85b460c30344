//! Local checks of key, registration id and id scope.
//!
//! An unusual value is not an error as long as the service accepts it: it is a suspect in case the service does not.

use std::path::Path;

use dps_core::{ErrorCode, IdScope, RegistrationId};

use super::certificate::unreadable;
use super::report::{Check, CheckId};
use crate::failure::Result;
use crate::files::is_stdin;
use crate::key::{DeviceOrGroup, KeyChoice, KeySource};
use crate::pkcs11::TokenKey;

/// An unusual value, which is a likely reason for a refused credential.
pub(super) struct Suspect {
    pub(super) id: CheckId,
    pub(super) summary: String,
    pub(super) advice: &'static str,
}

/// The result of a local check.
pub(super) struct LocalCheck {
    pub(super) check: Check,
    pub(super) suspect: Option<Suspect>,
}

impl LocalCheck {
    pub(super) fn skipped(id: CheckId, why: &str) -> Self {
        Self::without_suspect(Check::skipped(id, why))
    }

    fn without_suspect(check: Check) -> Self {
        Self { check, suspect: None }
    }
}

/// Checks the key.
pub(super) fn key(choice: &KeyChoice, read: &Result<DeviceOrGroup>) -> LocalCheck {
    let key = match read {
        Ok(key) => key,
        Err(failure) => {
            let advice = if failure.code == ErrorCode::File {
                "use a file with the key that this user can read"
            } else {
                "use the key as the service shows it, the enrollment's primary or secondary key: one line of base64"
            };
            return LocalCheck::without_suspect(Check::error(CheckId::Key, failure.message.clone()).advise(advice));
        }
    };
    let length = key.length();
    let summary = match key {
        DeviceOrGroup::Device(_) => format!("the device's key, {length} bytes"),
        DeviceOrGroup::Group(_) => format!("the group's key, {length} bytes; the device's is derived from it"),
    };
    let suspect = Suspect {
        id: CheckId::Key,
        summary: format!("the key has {length} bytes; generated keys have 64 and derived keys 32"),
        advice: "compare the key with the enrollment's primary and secondary key: it may be truncated",
    };
    LocalCheck {
        check: Check::ok(CheckId::Key, summary).seen(format!("from {}", choice.source())),
        suspect: (length != 32 && length != 64).then_some(suspect),
    }
}

/// Checks a symmetric key in a token, which has signed or not.
pub(super) fn token_key(key: &TokenKey, signed: &Result<()>) -> Check {
    match signed {
        Ok(()) => Check::ok(CheckId::Key, "the key in the token signs").seen(format!("from {key}")),
        Err(failure) => unreadable(CheckId::Key, failure),
    }
}

/// Checks whether others can read the file with the token's PIN.
pub(super) fn pin_file(key: &TokenKey) -> Check {
    key.pin_file().map_or_else(|| Check::skipped(CheckId::KeyFile, "the key is in a token"), file_mode)
}

/// Checks whether others can read the key's file.
pub(super) fn key_file(choice: &KeyChoice) -> Check {
    let id = CheckId::KeyFile;
    match choice.source() {
        KeySource::File(path) if !is_stdin(path) => file_mode(path),
        source => Check::skipped(id, format!("the key comes from {source}, which is not a file")),
    }
}

pub(super) fn file_mode(path: &Path) -> Check {
    let id = CheckId::KeyFile;
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(_) => Check::skipped(id, format!("{shown} cannot be inspected")),
        Ok(_) if cfg!(not(unix)) => Check::skipped(id, "files have no modes on this system"),
        Ok(metadata) if !metadata.is_file() => {
            Check::ok(id, format!("{shown} is not a regular file and stores nothing"))
        }
        Ok(metadata) => match dps_files::mode_open_to_others(&metadata) {
            None => Check::ok(id, format!("only the owner can read {shown}")),
            Some(mode) => Check::warning(id, format!("others can read the key in {shown} (mode {mode:04o})"))
                .advise(format!("restrict the file to its owner: chmod 600 {shown}"))
                .advise("regenerate the key if somebody may have read it"),
        },
    }
}

/// Checks the registration id. Its letter case matters only for a key that may be derived from it.
pub(super) fn registration_id(text: &str, derives_keys: bool) -> LocalCheck {
    let id = CheckId::RegistrationId;
    match RegistrationId::new(text) {
        Err(error) => LocalCheck::without_suspect(
            Check::error(id, error.to_string()).advise("use the registration id of the enrollment"),
        ),
        Ok(registration_id) => LocalCheck {
            check: Check::ok(id, text),
            suspect: (registration_id.has_upper_case() && derives_keys).then(|| Suspect {
                id,
                summary: format!("{text} has upper-case letters, and a derived key depends on letter case"),
                advice: "use one spelling of the id everywhere, and derive the device's key from that spelling",
            }),
        },
    }
}

/// Checks the id scope.
pub(super) fn id_scope(text: &str) -> LocalCheck {
    let id = CheckId::IdScope;
    match IdScope::new(text) {
        Err(error) => LocalCheck::without_suspect(
            Check::error(id, error.to_string()).advise("copy the id scope from the service's overview page"),
        ),
        Ok(_) => LocalCheck {
            check: Check::ok(id, text),
            suspect: (!looks_usual(text)).then(|| Suspect {
                id,
                summary: format!("{text} does not look like an id scope, such as 0ne00A1B2C3"),
                advice: "copy the id scope from the service's overview page; it begins with the digit 0",
            }),
        },
    }
}

/// Whether the id scope looks usual. Id scopes are opaque; known ones begin with a zero and have about eleven
/// characters.
fn looks_usual(scope: &str) -> bool {
    scope.starts_with('0') && (9..=13).contains(&scope.len()) && scope.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_id_scopes_are_suspects() {
        for (scope, suspicious) in
            [("0ne00A1B2C3", false), ("0ab1234C5D6", false), ("One00A1B2C3", true), ("0ne00", true), ("my-dps", true)]
        {
            assert_eq!(id_scope(scope).suspect.is_some(), suspicious, "{scope}");
        }
    }
}
