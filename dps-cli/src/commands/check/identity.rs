//! What can be said of key, registration id and id scope without asking anybody.
//!
//! Something unusual is no fault as long as the service takes it: it is a suspect, for the case that it does not.

use std::path::Path;

use dps_core::{ErrorCode, IdScope, RegistrationId};

use super::report::{Check, CheckId};
use crate::failure::Result;
use crate::files::is_stdin;
use crate::key::{DeviceOrGroup, KeyChoice, KeySource};

/// Something unusual that explains why a credential is refused, likelier than what is usual.
pub(super) struct Suspect {
    pub(super) id: CheckId,
    pub(super) summary: String,
    pub(super) advice: &'static str,
}

/// What came of a local check.
pub(super) struct Looked {
    pub(super) check: Check,
    pub(super) suspect: Option<Suspect>,
}

impl Looked {
    fn at(check: Check) -> Self {
        Self { check, suspect: None }
    }
}

/// The key, as it was read.
pub(super) fn key(choice: &KeyChoice, read: &Result<DeviceOrGroup>) -> Looked {
    let key = match read {
        Ok(key) => key,
        Err(failure) => {
            let advice = if failure.code == ErrorCode::File {
                "name a file with the key that this user can read"
            } else {
                "give the key as the service shows it, the enrollment's primary or secondary key: one line of base64"
            };
            return Looked::at(Check::error(CheckId::Key, failure.message.clone()).advise(advice));
        }
    };
    let length = key.length();
    let summary = match key {
        DeviceOrGroup::Device(_) => format!("the device's key, {length} bytes"),
        DeviceOrGroup::Group(_) => format!("the group's key, {length} bytes; the device's is derived from it"),
    };
    let suspect = Suspect {
        id: CheckId::Key,
        summary: format!("the key has {length} bytes, where generated keys have 64 and derived ones 32"),
        advice: "compare the key with the enrollment's primary and secondary key: it may be cut off",
    };
    Looked {
        check: Check::ok(CheckId::Key, summary).seen(format!("from {}", choice.source())),
        suspect: (length != 32 && length != 64).then_some(suspect),
    }
}

/// Who else can read the key.
pub(super) fn key_file(choice: &KeyChoice) -> Check {
    let id = CheckId::KeyFile;
    match choice.source() {
        KeySource::File(path) if !is_stdin(path) => mode(path),
        source => Check::skipped(id, format!("the key comes from {source}, which is no file")),
    }
}

fn mode(path: &Path) -> Check {
    let id = CheckId::KeyFile;
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(_) => Check::skipped(id, format!("{shown} cannot be looked at")),
        Ok(_) if cfg!(not(unix)) => Check::skipped(id, "files have no modes on this system"),
        Ok(metadata) if !metadata.is_file() => Check::ok(id, format!("{shown} is no file that keeps anything")),
        Ok(metadata) => match dps_files::mode_open_to_others(&metadata) {
            None => Check::ok(id, format!("{shown} is for its owner alone")),
            Some(mode) => Check::warning(id, format!("others can get at the key in {shown} (mode {mode:04o})"))
                .advise(format!("make the file its owner's alone: chmod 600 {shown}"))
                .advise("renew the key if somebody may have read it"),
        },
    }
}

/// The registration id.
pub(super) fn registration_id(text: &str) -> Looked {
    let id = CheckId::RegistrationId;
    match RegistrationId::new(text) {
        Err(error) => {
            Looked::at(Check::error(id, error.to_string()).advise("use the id that the device is enrolled by"))
        }
        Ok(registration_id) => Looked {
            check: Check::ok(id, text),
            suspect: registration_id.has_upper_case().then(|| Suspect {
                id,
                summary: format!("{text} has upper-case letters, and a derived key depends on letter case"),
                advice: "use one spelling of the id everywhere, and derive the device's key from that spelling",
            }),
        },
    }
}

/// The id scope.
pub(super) fn id_scope(text: &str) -> Looked {
    let id = CheckId::IdScope;
    match IdScope::new(text) {
        Err(error) => {
            Looked::at(Check::error(id, error.to_string()).advise("copy the id scope from the service's overview page"))
        }
        Ok(_) => Looked {
            check: Check::ok(id, text),
            suspect: (!looks_usual(text)).then(|| Suspect {
                id,
                summary: format!("{text} does not look like an id scope, such as 0ne00A1B2C3"),
                advice: "copy the id scope from the service's overview page; it begins with the digit 0",
            }),
        },
    }
}

/// Scopes are opaque; those that were seen begin with a zero and have eleven characters, older ones about as many.
fn looks_usual(scope: &str) -> bool {
    scope.starts_with('0') && (9..=13).contains(&scope.len()) && scope.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_looks_like_something_else_is_a_suspect() {
        for (scope, suspicious) in
            [("0ne00A1B2C3", false), ("0ab1234C5D6", false), ("One00A1B2C3", true), ("0ne00", true), ("my-dps", true)]
        {
            assert_eq!(id_scope(scope).suspect.is_some(), suspicious, "{scope}");
        }
    }
}
